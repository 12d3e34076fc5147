/**
 * The egress: one process for all sandboxes of a host. It decides on what their gates ask for, and carries it.
 *
 * It outlives the daemon, as sandboxes do: a restart of the daemon breaks no connection. The daemon tells it of
 * sandboxes on a Unix socket, one JSON line a request, one an answer, in order:
 *
 *   {"put": {sandbox, socketPath, logPath, namesPath, policy, presets}}   a new sandbox, or a new policy of one
 *   {"remove": sandbox}                            {"keep": [sandbox…]}: removes all others
 *   {"get": sandbox}                               {"ok": {counts, isSealed, names}}
 *   {"secrets": {folder, trustFile?}}              {"ok": certificate}: reads them anew; before a policy that names one
 *   any of them                                    {"error": {path?, problem}}
 *
 * An egress that was started again knows nothing until it is told; the gates find its sockets by themselves. One that
 * serves no sandbox and that no daemon is connected to is of no use: `onUseless`.
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { z } from 'zod';
import { networkPolicySchema } from '../../contract/index.js';
import { BoundedLines, messageOf, MiB, startRounds, type Rounds } from '../../base/index.js';
import { ownAddresses } from '../own-addresses.js';
import { Policy } from '../policy.js';
import { presetsSchema } from '../presets.js';
import { PolicyRefused } from '../rule.js';
import type { Resolve } from './resolver.js';
import { SandboxGate } from './sandbox-gate.js';
import { Secrets, type SecretsFolder } from './secrets.js';

const OWN_ADDRESSES_INTERVAL_MS = 60_000;

const requestSchema = z.union([
  z.strictObject({
    put: z.strictObject({
      sandbox: z.string().min(1),
      socketPath: z.string().min(1).max(107),
      logPath: z.string().min(1),
      namesPath: z.string().min(1),
      policy: networkPolicySchema,
      presets: presetsSchema,
    }),
  }),
  z.strictObject({ remove: z.string() }),
  z.strictObject({ keep: z.array(z.string()) }),
  z.strictObject({ get: z.string() }),
  z.strictObject({
    secrets: z.strictObject({ folder: z.string().min(1), trustFile: z.string().min(1).optional() }),
  }),
]);
type Request = z.output<typeof requestSchema>;
type Put = Extract<Request, { put: unknown }>['put'];

export class Egress {
  readonly #gates = new Map<string, SandboxGate>();
  readonly #resolve: Resolve;
  readonly #secrets = new Secrets();
  readonly #server: Server;
  readonly #clients = new Set<Socket>();
  readonly #rounds: Rounds;
  readonly #onUseless: () => void;
  #own = ownAddresses();

  private constructor(resolve: Resolve, onUseless: () => void) {
    this.#resolve = resolve;
    this.#onUseless = onUseless;
    this.#server = createServer((socket) => this.#serve(socket));
    this.#rounds = startRounds(OWN_ADDRESSES_INTERVAL_MS, () => {
      this.#own = ownAddresses();
      return Promise.resolve();
    });
  }

  /** Serves the daemon on `socketPath` when this resolves. */
  static async open(
    socketPath: string,
    resolve: Resolve,
    onUseless: () => void = () => undefined,
  ): Promise<Egress> {
    const egress = new Egress(resolve, onUseless);
    rmSync(socketPath, { force: true });
    await new Promise<void>((done, reject) => {
      egress.#server.once('error', reject);
      egress.#server.listen(socketPath, done);
    });
    chmodSync(socketPath, 0o600);
    return egress;
  }

  async close(): Promise<void> {
    await this.#rounds.stop();
    for (const client of this.#clients) client.destroy();
    await Promise.all([...this.#gates.values()].map((gate) => gate.close()));
    await new Promise<void>((done) => this.#server.close(() => done()));
  }

  #serve(socket: Socket): void {
    const lines = new BoundedLines(16 * MiB);
    let before = Promise.resolve();
    this.#clients.add(socket);
    socket.on('close', () => {
      this.#clients.delete(socket);
      if (this.#clients.size === 0 && this.#gates.size === 0) this.#onUseless();
    });
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const line of lines.push(chunk)) before = before.then(() => this.#answer(socket, line));
      } catch {
        socket.destroy();
      }
    });
  }

  async #answer(socket: Socket, line: string): Promise<void> {
    let answer: object;
    try {
      answer = { ok: (await this.#do(requestSchema.parse(JSON.parse(line)))) ?? null };
    } catch (error) {
      const refusal =
        error instanceof PolicyRefused ? { path: error.path, problem: error.problem } : undefined;
      answer = { error: refusal ?? { problem: messageOf(error) } };
    }
    if (socket.writable) socket.write(`${JSON.stringify(answer)}\n`);
  }

  async #do(request: Request): Promise<unknown> {
    if ('put' in request) return this.#put(request.put);
    if ('get' in request) {
      const gate = this.#gates.get(request.get);
      return gate && { counts: gate.counts, isSealed: gate.isSealed, names: gate.names };
    }
    if ('remove' in request) return this.#remove(request.remove);
    if ('secrets' in request) return this.#readSecrets(request.secrets);
    const others = [...this.#gates.keys()].filter((sandbox) => !request.keep.includes(sandbox));
    for (const sandbox of others) await this.#remove(sandbox);
    return undefined;
  }

  async #readSecrets(which: SecretsFolder): Promise<string> {
    const certificate = await this.#secrets.read(which);
    for (const gate of this.#gates.values()) gate.cutRefused();
    return certificate;
  }

  async #remove(sandbox: string): Promise<void> {
    const gate = this.#gates.get(sandbox);
    this.#gates.delete(sandbox);
    await gate?.close();
  }

  async #put({ sandbox, policy, presets, ...paths }: Put): Promise<void> {
    const compiled = Policy.compile(policy, presets);
    const unknown = this.#secrets.book.unknownOf(policy.secrets ?? []);
    // Whose hosts nobody knows would be reached without it.
    if (unknown !== undefined)
      throw new PolicyRefused('secrets', `names "${unknown}", which is not known here`);
    const known = this.#gates.get(sandbox);
    if (known !== undefined) {
      known.replacePolicy(compiled);
      return;
    }
    const gate = await SandboxGate.open({
      ...paths,
      policy: compiled,
      resolve: this.#resolve,
      secrets: this.#secrets,
      ownAddresses: () => this.#own,
    });
    this.#gates.set(sandbox, gate);
  }
}
