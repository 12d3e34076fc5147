/** An egress with secrets, a gate of a sandbox that may use them, and an origin with TLS: no VM. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect as netConnect, createServer, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import { connect as http2Connect, type ClientHttp2Session } from 'node:http2';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as tlsConnect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import type { NetworkPolicyInput } from '../../src/contract/index.js';
import { Authority } from '../../src/network/egress/authority.js';
import { Egress } from '../../src/network/egress/egress.js';
import { prepareSecretsFolder, writeSecret, type SecretFile } from '../../src/network/secret.js';
import { FakeGate, type GuestConnection } from './fake-gate.js';
import { TlsOrigin } from './tls-origin.js';

export const API = 'api.example';
export const OTHER = 'other.example';

export class SecretLab {
  readonly dir: string;
  readonly origin: TlsOrigin;
  readonly #trustFile: string;
  egress!: Egress;
  gate!: FakeGate;
  /** What a guest trusts besides: the egress. */
  certificate = '';

  private constructor(dir: string, origin: TlsOrigin, trustFile: string) {
    this.dir = dir;
    this.origin = origin;
    this.#trustFile = trustFile;
  }

  static async open(): Promise<SecretLab> {
    const dir = await mkdtemp(join(tmpdir(), 'bough-secrets-'));
    const world = await Authority.open(join(dir, 'world.pem'));
    const trustFile = join(dir, 'trust.pem');
    await writeFile(trustFile, world.pem);
    await prepareSecretsFolder(join(dir, 'secrets'));
    const lab = new SecretLab(dir, await TlsOrigin.open(world), trustFile);
    await lab.start();
    return lab;
  }

  get folder(): string {
    return join(this.dir, 'secrets');
  }

  /** Whom a client trusts that means the origin itself. */
  get trustFile(): string {
    return this.#trustFile;
  }

  async start(): Promise<void> {
    this.egress = await Egress.open(join(this.dir, 'egress'), () => Promise.resolve(['127.0.0.1']));
  }

  async stop(): Promise<void> {
    this.gate.close();
    await this.egress.close();
  }

  async close(): Promise<void> {
    await this.stop();
    await this.origin.close();
    await rm(this.dir, { recursive: true });
  }

  async ask(request: object): Promise<{ ok?: unknown; error?: { problem: string } }> {
    const socket = netConnect(join(this.dir, 'egress'));
    socket.write(`${JSON.stringify(request)}\n`);
    const [line] = (await once(createInterface(socket), 'line')) as [string];
    socket.destroy();
    return JSON.parse(line) as { ok?: unknown; error?: { problem: string } };
  }

  /** Writes the secret and has it read; without a value it is as one that was removed. */
  async secret(value: string | undefined, more: Partial<SecretFile> = {}): Promise<void> {
    const bound = { name: 'key', hosts: [`${API}:${this.origin.port}`], header: 'Authorization' };
    await writeSecret(this.folder, { ...bound, format: 'Bearer {}', updatedAtUnix: 1, value, ...more });
    await this.read();
  }

  async read(trustFile: string = this.#trustFile): Promise<void> {
    const { ok, error } = await this.ask({ secrets: { folder: this.folder, trustFile } });
    if (error !== undefined) throw new Error(error.problem);
    this.certificate = String(ok);
  }

  put(policy: Partial<NetworkPolicyInput> = {}): Promise<{ error?: { problem: string } }> {
    const ports = [this.origin.port];
    const rules = [API, OTHER, '127.0.0.1'].map((allow) => ({ allow, ports }));
    const paths = { socketPath: join(this.dir, 'gate'), logPath: join(this.dir, 'log') };
    const full = { mode: 'list', rules, ...policy };
    return this.ask({
      put: { sandbox: 's', ...paths, namesPath: join(this.dir, 'names'), policy: full, presets: {} },
    });
  }

  async connectGate(): Promise<void> {
    this.gate = await FakeGate.connect(join(this.dir, 'gate'));
  }

  /** A guest's connection to a name, before anything is said on it. */
  async dial(name = API): Promise<GuestConnection> {
    const address = [...(await this.gate.ask(name)).subarray(-4)].join('.');
    return this.gate.dial(address, this.origin.port);
  }

  /** TLS of a guest that trusts the egress and nobody besides. */
  async tls(name = API, options: ConnectionOptions = {}): Promise<TLSSocket & { seq: number }> {
    const { socket, seq } = await this.dial(name);
    const secure = tlsConnect({ socket, servername: name, ca: this.certificate, ...options });
    secure.on('error', () => undefined);
    secure.on('end', () => secure.end()); // as a guest's kernel does for it
    await new Promise<void>((done) => secure.once('secureConnect', done).once('close', () => done()));
    return Object.assign(secure, { seq });
  }

  /** What comes back for these bytes, until the other side ends or cuts the connection. */
  async raw(text: string, name = API): Promise<string> {
    const socket = await this.tls(name, { ALPNProtocols: ['http/1.1'] });
    let said = '';
    socket.on('data', (chunk: Buffer) => (said += chunk.toString('latin1')));
    socket.write(Buffer.from(text, 'latin1'));
    if (!socket.destroyed) await once(socket, 'close');
    return said;
  }

  async http2(name = API): Promise<ClientHttp2Session> {
    const socket = await this.tls(name, { ALPNProtocols: ['h2'] });
    const session = http2Connect(`https://${name}:${this.origin.port}`, { createConnection: () => socket });
    session.on('error', () => undefined);
    return session;
  }

  /** A port of the loopback that leads to a name through the gate, for programs. */
  async port(name = API): Promise<{ port: number; close: () => void }> {
    const server = createServer((client: Socket) => {
      client.on('error', () => undefined);
      client.pause();
      void this.dial(name).then(({ socket }) => {
        client.pipe(socket);
        socket.pipe(client);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return { port: (server.address() as AddressInfo).port, close: () => server.close() };
  }
}
