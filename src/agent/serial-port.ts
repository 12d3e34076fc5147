/**
 * A virtio-serial port of a guest, from the host: a Unix socket that stays connected, and carries one channel after the other. It moves
 * several times what the guest's TCP does, and a call on it waits for no connection.
 *
 *   closed ──open()──▶ greeting ──▶ open, free ◀──────▶ open, taken
 *      ◀── the guest or the VMM is silent, gone, or out of step ──┘
 *
 * Each side ends a channel with a CLOSE frame, so that the next one may follow at once. The greeting is a number that the guest repeats: what comes
 * before it is what remained of an earlier daemon's channel, or of the machine that this one is a branch of.
 *
 * Not handled: when to open it again (serial-ports.ts).
 */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { abortReason, drained } from '../base/index.js';
import type { Channel } from './channel.js';
import { AgentProtocolError } from './errors.js';
import { AGENT_LIMITS, encodeFrame, encodeFrames, FrameDecoder, FrameKind, type Frame } from './frames.js';

const GREETING_BYTES = 16;
/** A guest may be busy. */
const GREETING_MS = 5_000;
/** More than the queues of a port hold. */
const MAX_REMAINS_BYTES = 16 << 20;
/** For the guest to end its side of a channel. */
const CLOSE_MS = 2_000;
/** Of all ports, since what is read is taken at once: memory for each piece would be half of what a large output costs here. */
const ARRIVING = Buffer.allocUnsafeSlow(256 << 10);
const LIMITS = new Map([...AGENT_LIMITS, [FrameKind.close, 0], [FrameKind.reset, 0]]);

export class SerialPort {
  readonly #path: string;
  /** There as long as the port is not closed. */
  #link: Link | undefined;
  /** Of attempts that ended without a greeting. */
  #failureCount = 0;

  constructor(path: string) {
    this.#path = path;
  }

  get isClosed(): boolean {
    return this.#link === undefined;
  }

  get failureCount(): number {
    return this.#failureCount;
  }

  get isFree(): boolean {
    return this.#link?.isFree === true;
  }

  /** Begins to connect. Nothing is told of a failure but that the port is closed again. */
  open(): void {
    this.#failureCount += 1;
    this.#link ??= new Link(this.#path, {
      onGreeted: () => (this.#failureCount = 0),
      onClosed: () => (this.#link = undefined),
    });
  }

  /** A channel on a port that is free. */
  take(): Channel {
    if (this.#link === undefined) throw new Error('The port is closed');
    return this.#link.take();
  }

  close(): void {
    this.#link?.fail(new Error('the connection was closed'));
  }
}

interface Listener {
  readonly onGreeted: () => void;
  readonly onClosed: () => void;
}

/** One connection to the port's socket. */
class Link {
  readonly #socket: Socket;
  readonly #listener: Listener;
  readonly #decoder = new FrameDecoder(LIMITS);
  readonly #greeting = encodeFrame(FrameKind.hello, randomBytes(GREETING_BYTES));
  /** What came before the guest's greeting and may be the beginning of it; undefined once that has come. */
  #remains: Buffer | undefined = Buffer.alloc(0);
  #remainsBytes = 0;
  #channel: SerialChannel | undefined;
  /** How many channels the guest has still to close. */
  #unclosedCount = 0;
  /** The last one was over for the guest, too: it will close soon. */
  #endsSoon = false;
  #impatience: NodeJS.Timeout | undefined;
  #hasFailed = false;

  constructor(path: string, listener: Listener) {
    this.#listener = listener;
    const callback = (count: number): boolean => this.#take(ARRIVING.subarray(0, count));
    const socket = (this.#socket = connect({ path, onread: { buffer: ARRIVING, callback } }).unref());
    this.#wait(GREETING_MS);
    socket.on('error', (error) => this.fail(error));
    socket.on('close', () => this.fail(new Error('the connection was closed')));
    socket.resume().write(this.#greeting);
  }

  get isFree(): boolean {
    const isOver = this.#unclosedCount === 0 || this.#endsSoon;
    return this.#remains === undefined && this.#channel === undefined && isOver;
  }

  take(): Channel {
    // From here on whoever asks knows how long to wait.
    clearTimeout(this.#impatience);
    this.#socket.ref();
    return (this.#channel = new SerialChannel({
      send: (bytes) => this.#send(bytes),
      wantMore: () => void this.#socket.resume(),
      close: (how) => this.#close(how),
    }));
  }

  /** Idempotent. */
  fail(error: Error): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    clearTimeout(this.#impatience);
    this.#socket.destroy();
    this.#channel?.end(error);
    this.#listener.onClosed();
  }

  #wait(ms: number): void {
    clearTimeout(this.#impatience);
    this.#impatience = setTimeout(() => this.fail(new Error('the guest is silent')), ms).unref();
  }

  /** Always true, for the socket: to be paused it is told. */
  #take(chunk: Buffer): true {
    if (this.#remains !== undefined) {
      this.#lookForGreeting(this.#remains, chunk);
      return true;
    }
    try {
      this.#requireAsked();
      for (const frame of this.#decoder.push(chunk)) this.#takeFrame(frame);
    } catch (error) {
      this.fail(error as Error);
    }
    return true;
  }

  #lookForGreeting(before: Buffer, chunk: Buffer): void {
    const greeting = this.#greeting;
    const bytes = Buffer.concat([before, chunk]);
    const at = bytes.indexOf(greeting);
    this.#remainsBytes += chunk.length;
    if (at >= 0) {
      this.#remains = undefined;
      clearTimeout(this.#impatience);
      this.#listener.onGreeted();
      if (bytes.length > at + greeting.length) this.#take(bytes.subarray(at + greeting.length));
    } else if (this.#remainsBytes > MAX_REMAINS_BYTES) {
      this.fail(new AgentProtocolError('The guest did not greet'));
    } else {
      this.#remains = Buffer.from(bytes.subarray(Math.max(0, bytes.length - greeting.length + 1)));
    }
  }

  /** Also of a part of a frame, or a guest could have much of it kept. */
  #requireAsked(): void {
    if (this.#channel === undefined && this.#unclosedCount === 0)
      throw new AgentProtocolError('The guest said something unasked');
  }

  #takeFrame(frame: Frame): void {
    const isClose = frame.kind === FrameKind.close;
    if (frame.kind === FrameKind.reset) throw new Error('the guest let go of the port');
    this.#requireAsked();
    if (this.#unclosedCount > 0) {
      if (!isClose) return;
      this.#unclosedCount -= 1;
      if (this.#unclosedCount === 0) clearTimeout(this.#impatience);
    } else if (isClose) {
      this.#channel?.end(undefined);
    } else {
      this.#channel?.push(frame);
      this.#socket.pause();
    }
  }

  /** Resolves when the VMM takes more, or is gone. */
  async #send(bytes: Buffer): Promise<void> {
    const socket = this.#socket;
    if (!socket.destroyed && !socket.write(bytes)) await drained(socket);
  }

  #close({ wasClosed, isOver }: { readonly wasClosed: boolean; readonly isOver: boolean }): void {
    this.#channel = undefined;
    if (this.#hasFailed) return;
    void this.#send(encodeFrame(FrameKind.close, Buffer.alloc(0)));
    this.#endsSoon = isOver;
    if (!wasClosed) this.#unclosedCount += 1;
    if (this.#unclosedCount > 0) this.#wait(CLOSE_MS);
    this.#socket.unref().resume();
  }
}

interface ChannelLink {
  readonly send: (bytes: Buffer) => Promise<void>;
  readonly wantMore: () => void;
  readonly close: (how: { wasClosed: boolean; isOver: boolean }) => void;
}

class SerialChannel implements Channel {
  readonly wasConnected = true;
  readonly #link: ChannelLink;
  readonly #frames: Frame[] = [];
  /** The guest has closed, or nothing more can come for that reason. */
  #end: { readonly error: Error | undefined } | undefined;
  #isOver = false;
  #isClosed = false;
  /** Somebody waits for the next frame. */
  #wake: (() => void) | undefined;

  constructor(link: ChannelLink) {
    this.#link = link;
  }

  get isGone(): boolean {
    return this.#isClosed || this.#end !== undefined;
  }

  async send(...frames: readonly Frame<Uint8Array>[]): Promise<void> {
    if (!this.#isClosed) await this.#link.send(encodeFrames(frames));
  }

  async *frames(signal: AbortSignal): AsyncGenerator<Frame, void, undefined> {
    for (;;) {
      if (signal.aborted) throw abortReason(signal);
      const frame = this.#frames.shift();
      if (frame !== undefined) yield frame;
      else if (this.#end === undefined) await this.#more(signal);
      else if (this.#end.error === undefined) return;
      else throw this.#end.error;
    }
  }

  push(frame: Frame): void {
    this.#isOver ||= frame.kind === FrameKind.end;
    this.#frames.push(frame);
    this.#wake?.();
  }

  end(error: Error | undefined): void {
    this.#end ??= { error };
    this.#wake?.();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#link.close({ wasClosed: this.#end !== undefined, isOver: this.#isOver });
  }

  #more(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined;
        signal.removeEventListener('abort', wake);
        resolve();
      };
      const wake = this.#wake;
      signal.addEventListener('abort', wake, { once: true });
      this.#link.wantMore();
    });
  }
}
