/**
 * One sandbox at the egress: its socket, on which its gate connects; its policy, names, counts and log.
 *
 * Who connects to the socket is that sandbox. The first frame says what a connection is: HELLO makes it the control
 * connection, in the place of an earlier one; CONNECT makes it one of the guest's. Anything else ends it.
 */
import { rmSync } from 'node:fs';
import { chmod, chown, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createServer, type Server, type Socket } from 'node:net';
import { messageOf } from '../../base/index.js';
import { addressOfBytes, parseAddress } from '../address.js';
import type { OwnAddresses, Policy, Verdict } from '../policy.js';
import { HOST_ADDRESS } from '../rule.js';
import { connectAny, firstWordsOf, judge, routeTo, type Target } from './connection.js';
import { noCounts, type Counts } from './counts.js';
import { readQuestion, writeAnswer, type Answer, type Question } from './dns.js';
import { ACCEPTED, ADDRESS_BYTES, FrameReader, FrameType, isSealed, REFUSED, writeFrame } from './frames.js';
import type { Frame } from './frames.js';
import { ConnectionLog } from './log.js';
import { intercept } from './intercept.js';
import type { RequestVerdict, AskedRequest } from './judged-request.js';
import { NameTable, type NameEntry } from './names.js';
import { appendName, readNames } from './names-file.js';
import type { Resolve } from './resolver.js';
import type { Injection } from './secret-book.js';
import type { Secrets } from './secrets.js';
import { splice } from './splice.js';

/** New names a guest may ask for in a minute. */
const MAX_NAMES_A_MINUTE = 300;
const MAX_UNREAD_BYTES = 1 << 20;
const MAX_LOGGED_METHOD = 20;
const NOTHING = Buffer.alloc(0);
type Why = Pick<Verdict, 'rule' | 'why'>;
const NO_NAME: Why = { rule: undefined, why: 'it is no name that a host can have' };

export interface SandboxGateOptions {
  readonly socketPath: string;
  readonly logPath: string;
  /** Where the names are kept for an egress that is started again. */
  readonly namesPath: string;
  readonly policy: Policy;
  readonly resolve: Resolve;
  readonly secrets: Secrets;
  readonly ownAddresses: () => OwnAddresses;
}

interface OpenConnection {
  readonly target: Target;
  readonly guest: Socket;
  /** What was connected to; undefined until that is. */
  to?: string;
  /** Its requests are opened, to be given secrets. */
  isOpened?: boolean;
}

export class SandboxGate {
  readonly counts: Counts = noCounts();
  readonly #options: SandboxGateOptions;
  readonly #server: Server;
  readonly #log: ConnectionLog;
  readonly #names: NameTable;
  readonly #open = new Set<OpenConnection>();
  readonly #sockets = new Set<Socket>();
  #policy: Policy;
  #control: Socket | undefined;
  #isSealed = false;
  #minute = { number: 0, names: 0 };

  private constructor(options: SandboxGateOptions) {
    this.#options = options;
    this.#policy = options.policy;
    this.#log = new ConnectionLog(options.logPath);
    this.#names = new NameTable(readNames(options.namesPath));
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#meet(socket));
  }

  /** Listens when this resolves. */
  static async open(options: SandboxGateOptions): Promise<SandboxGate> {
    const gate = new SandboxGate(options);
    rmSync(options.socketPath, { force: true });
    await new Promise<void>((resolve, reject) => {
      gate.#server.once('error', reject);
      gate.#server.listen({ path: options.socketPath, backlog: 4096 }, resolve);
    });
    await letFolderGroupConnect(options.socketPath);
    return gate;
  }

  /** Whether its gate is there, and has said that the VMM can make no socket of its own. */
  get isSealed(): boolean {
    return this.#isSealed && this.#control !== undefined;
  }

  get names(): NameEntry[] {
    return this.#names.entries();
  }

  /** In force when this returns; what it refuses of what is open is cut. */
  replacePolicy(policy: Policy): void {
    this.#policy = policy;
    this.cutRefused();
  }

  /** Cuts what is open and refused by now, or was opened for secrets that are for others now. */
  cutRefused(): void {
    for (const { target, guest, to, isOpened } of this.#open) {
      const verdict = this.#judge(target, to);
      const isForNobody = isOpened === true && this.#injectionsFor(target).length === 0;
      if (verdict.allowed && !isForNobody) continue;
      const why = verdict.allowed ? { why: 'no secret is for it any more' } : whyOf(verdict);
      this.#log.write({ kind: 'policy', ...described(target), verdict: 'refused', ...why });
      guest.destroy();
    }
  }

  /** Cuts everything and stops listening. Idempotent. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#log.close();
    rmSync(this.#options.socketPath, { force: true });
  }

  #meet(socket: Socket): void {
    const reader = new FrameReader();
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    const onData = (chunk: Buffer): void => {
      try {
        reader.push(chunk);
        const frame = reader.next();
        if (frame === undefined) return;
        socket.off('data', onData);
        socket.off('end', onEnd);
        this.#begin(socket, frame, reader);
      } catch {
        socket.destroy();
      }
    };
    const onEnd = (): void => void socket.destroy();
    socket.on('data', onData);
    socket.on('end', onEnd);
  }

  #begin(socket: Socket, frame: Frame, reader: FrameReader): void {
    if (frame.type === FrameType.hello && frame.payload.length === 4) {
      this.#control?.destroy();
      this.#control = socket;
      this.#isSealed = isSealed(frame);
      this.#serveControl(socket, reader);
    } else if (frame.type === FrameType.connect && frame.payload.length === ADDRESS_BYTES) {
      socket.pause();
      if (reader.rest.length > 0) socket.unshift(reader.rest);
      void this.#serveConnection(socket, frame);
    } else socket.destroy();
  }

  #serveControl(socket: Socket, reader: FrameReader): void {
    const takeAll = (): void => {
      for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
        if (frame.type !== FrameType.query || frame.payload.length <= ADDRESS_BYTES)
          return void socket.destroy();
        void this.#answer(socket, frame);
      }
    };
    socket.on('data', (chunk: Buffer) => {
      try {
        reader.push(chunk);
        takeAll();
      } catch {
        socket.destroy();
      }
    });
    socket.on('end', () => socket.destroy());
    socket.on('close', () => {
      if (this.#control === socket) this.#control = undefined;
    });
    takeAll();
  }

  async #answer(socket: Socket, { seq, payload }: Frame): Promise<void> {
    const question = readQuestion(payload.subarray(ADDRESS_BYTES));
    this.counts.queries++;
    if (question === undefined) return;
    const message = writeAnswer(question, await this.#find(question));
    const reply = Buffer.concat([payload.subarray(0, ADDRESS_BYTES), message]);
    // Answers are datagrams: of one who reads none, they may be lost.
    if (socket.writable && socket.writableLength < MAX_UNREAD_BYTES)
      socket.write(writeFrame({ type: FrameType.reply, seq, payload: reply }));
  }

  async #find({ name, asksForAddress }: Question): Promise<Answer> {
    // Also names that are refused count: each is a line of the log.
    if ((name === undefined || !this.#names.has(name)) && this.#isBeyondRate()) return 'failed';
    if (name === undefined) return this.#noSuchName(name, NO_NAME);
    const lookup = this.#policy.lookup(name);
    if (typeof lookup === 'object') return this.#noSuchName(name, lookup);
    if (lookup === 'host') return asksForAddress ? { address: HOST_ADDRESS.split('.').map(Number) } : 'empty';
    try {
      const exists = lookup === 'known' || (await this.#options.resolve(name)).length > 0;
      if (!exists) return 'no such name';
    } catch {
      return 'failed';
    }
    return asksForAddress ? this.#give(name) : 'empty';
  }

  #noSuchName(name: string | undefined, verdict: Why): Answer {
    this.#log.write({ kind: 'dns', name, verdict: 'refused', ...whyOf(verdict) });
    return 'no such name';
  }

  #give(name: string): Answer {
    const isNew = !this.#names.has(name);
    const address = this.#names.addressOf(name);
    if (address === undefined) return 'failed';
    try {
      if (isNew) appendName(this.#options.namesPath, [name, address.join('.')]);
    } catch {
      // The disk is full, or the sandbox is being removed. An address in nobody's file would be nobody's after a restart.
      this.#names.forget(name);
      return 'failed';
    }
    return { address };
  }

  #isBeyondRate(): boolean {
    const number = Math.floor(Date.now() / 60_000);
    if (this.#minute.number !== number) this.#minute = { number, names: 0 };
    return ++this.#minute.names > MAX_NAMES_A_MINUTE;
  }

  async #serveConnection(guest: Socket, { seq, payload }: Frame): Promise<void> {
    const address = addressOfBytes(payload.subarray(0, 4));
    const target = { name: this.#names.nameOf(address), address, port: payload.readUInt16BE(4) };
    if (this.#open.size >= this.#policy.wire.max_connections) {
      this.#refuse(guest, target, { why: 'max_connections are open' });
      return;
    }
    const connection: OpenConnection = { target, guest };
    this.#open.add(connection);
    guest.once('close', () => this.#open.delete(connection));
    const { resolve, ownAddresses } = this.#options;
    const route = await routeTo(this.#policy, target, ownAddresses(), resolve);
    if (!route.allowed) {
      this.#refuse(guest, target, whyOf(route));
      return;
    }
    const line = { kind: 'tcp', ...described(target), verdict: 'allowed', ...whyOf(route) } as const;
    if (!this.#log.write(line)) {
      this.#refuse(guest, target, { why: 'the log cannot be written' });
      return;
    }
    try {
      const { socket, to } = await connectAny(route.addresses, target.port);
      connection.to = to;
      const verdict = this.#judge(target, to); // by what may be another policy by now
      if (!verdict.allowed) {
        socket.destroy();
        this.#refuse(guest, target, whyOf(verdict));
        return;
      }
      if (guest.destroyed) socket.destroy();
      else if (this.#injectionsFor(target).length === 0) this.#splice(guest, socket, target, seq);
      else {
        connection.isOpened = true;
        this.#intercept(guest, socket, target, seq);
      }
    } catch (error) {
      this.#refuse(guest, target, { why: `nobody takes the connection: ${messageOf(error)}` });
    }
  }

  /** What the policy says now of a target, and of the address that its name led to. */
  #judge(target: Target, to: string | undefined): Verdict {
    const own = this.#options.ownAddresses();
    const verdict = judge(this.#policy, target, own);
    const address = to === undefined || target.name === undefined ? undefined : parseAddress(to);
    if (!verdict.allowed || address === undefined) return verdict;
    return this.#policy.judgeResolved(address, target.port, own);
  }

  #refuse(guest: Socket, target: Target, why: { rule?: string | undefined; why: string }): void {
    this.counts.refused++;
    this.#log.write({ kind: 'tcp', ...described(target), verdict: 'refused', ...why });
    guest.resume();
    guest.end(REFUSED);
  }

  #splice(guest: Socket, world: Socket, target: Target, seq: number): void {
    const count = { bytesUp: 0, bytesDown: 0 };
    this.#accept(guest, target, count);
    splice(guest, world, { beforeEnd: this.#endOf(guest, seq), count, hold: this.#holdFor(target) });
  }

  #intercept(guest: Socket, world: Socket, target: Target, seq: number): void {
    const { bytesRead, bytesWritten } = guest;
    const count = {
      get bytesUp(): number {
        return guest.bytesRead - bytesRead;
      },
      get bytesDown(): number {
        return guest.bytesWritten - bytesWritten;
      },
    };
    const { secrets } = this.#options;
    const { name = '', port } = target;
    this.#accept(guest, target, count);
    void intercept(guest, world, {
      target: { name, port, injections: () => this.#injectionsFor(target) },
      contextFor: (each) => secrets.contextFor(each),
      trust: secrets.trust,
      beforeEnd: this.#endOf(guest, seq),
      onRequest: (asked, verdict) => this.#noteRequest(target, asked, verdict),
      onCut: (why) => this.#noteCut(target, why),
    });
  }

  #injectionsFor({ name, port }: Target): readonly Injection[] {
    const { secrets } = this.#policy.wire;
    if (secrets === undefined || name === undefined) return [];
    return this.#options.secrets.book.injectionsFor(secrets, name, port);
  }

  #noteRequest(target: Target, { method }: AskedRequest, verdict: RequestVerdict): boolean {
    const line = { kind: 'http', ...described(target), method: method.slice(0, MAX_LOGGED_METHOD) } as const;
    if ('injections' in verdict)
      return this.#log.write({
        ...line,
        verdict: 'allowed',
        secrets: verdict.injections.map(({ secret }) => secret),
      });
    this.counts.refused++;
    return this.#log.write({ ...line, verdict: 'refused', why: verdict.problem });
  }

  #noteCut(target: Target, why: string): void {
    this.counts.refused++;
    this.#log.write({ kind: 'tcp', ...described(target), verdict: 'refused', why });
  }

  #accept(
    guest: Socket,
    target: Target,
    count: { readonly bytesUp: number; readonly bytesDown: number },
  ): void {
    this.counts.connections++;
    this.counts.open++;
    guest.once('close', () => this.#account(target, count));
    guest.write(ACCEPTED);
  }

  /** Announces that what goes to the guest ends well. */
  #endOf(guest: Socket, seq: number): (done: () => void) => void {
    return (done) => {
      const end = writeFrame({ type: FrameType.end, seq, payload: NOTHING });
      // Without a gate to tell it to, the end is a cut.
      if (this.#control?.writable === true) this.#control.write(end, () => done());
      else guest.destroy();
    };
  }

  #holdFor(target: Target): ((said: Buffer) => 'pass' | 'more' | 'cut') | undefined {
    const read = firstWordsOf(target);
    if (read === undefined) return undefined;
    return (said) => {
      const first = read(said);
      if (first === 'more') return 'more';
      if (first !== 'none' && first.name === target.name) return 'pass';
      this.#noteCut(target, first === 'none' ? 'the client says no name' : `the client says ${first.name}`);
      return 'cut';
    };
  }

  #account(target: Target, { bytesUp, bytesDown }: { bytesUp: number; bytesDown: number }): void {
    this.counts.open--;
    this.counts.bytesUp += bytesUp;
    this.counts.bytesDown += bytesDown;
    this.#log.write({ kind: 'closed', ...described(target), bytes_up: bytesUp, bytes_down: bytesDown });
  }
}

function described({ name, address, port }: Target): {
  name: string | undefined;
  address: string;
  port: number;
} {
  return { name, address: address.toString(), port };
}

const whyOf = ({ rule, why }: Why): Why => ({ rule, why });

/** The VMM may run as a user of its own: its folder's group is that user's then, and ours otherwise. */
async function letFolderGroupConnect(socketPath: string): Promise<void> {
  await chmod(socketPath, 0o660);
  if (process.getuid?.() === 0) await chown(socketPath, 0, (await stat(dirname(socketPath))).gid);
}
