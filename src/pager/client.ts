/**
 * The control connection to the pager inside one VMM.
 *
 * The pager answers one request at a time, so requests queue here. Nothing is retried: when the connection ends,
 * the request under way and every later one fail with PagerDisconnected. A branch goes on inside the VMM even if
 * this client closes; its outcome is then lost, and the caller removes its files.
 */
import { createConnection, type Socket } from 'node:net';
import { BoundedLines, Deferred, errnoName, MiB } from '../base/index.js';
import { PagerDisconnected, PagerError } from './errors.js';
import { formatRequest, parseAnswer, parseRuns, type PagerMessage, type PagerRun } from './protocol.js';

/** A layer with a run on every second page of 16 GiB still fits; the pager is told, and fails a branch that does not. */
const MAX_LINE_BYTES = 32 * MiB;
const MAX_RUNS_BYTES = MAX_LINE_BYTES - 4096;

/** How writes can be tracked in that VMM: `none` means that live branches are impossible. */
export type PagerTracking = 'async' | 'sync' | 'none';

/** What `map` found and did. */
export interface PagerMapping {
  readonly ramBytes: number;
  readonly mappedRuns: number;
}

/** An empty overlay, and the QMP command that puts it on top of the disk. */
export interface PagerSpare {
  readonly path: string;
  readonly switch: { readonly execute: string; readonly arguments: object };
}

/** The file of the topmost overlay, where its bytes at the pause go, and what to switch to where those are too many. */
export interface PagerDisk {
  readonly overlayPath: string;
  readonly tailPath: string;
  /** Used in this order, at most 4. Without any the tail is copied whatever its size. */
  readonly spares: readonly PagerSpare[];
}

/** What to capture and where to; see native/pager/protocol.h. */
export interface PagerBranchRequest {
  readonly mode: 'live' | 'diff' | 'full';
  readonly layerPath: string;
  readonly statePath: string;
  readonly deadlineMs: number;
  readonly disk?: PagerDisk;
  /** Index of the first mapped layer whose runs the new layer holds too (`live` and `diff`). */
  readonly foldFrom?: number;
  /** What a later branch may call this one. */
  readonly name?: string;
  /** The branch to go on from, by its name, and the layer files of its snapshot above the mapped layers, bottom first, with all their runs (`live`). */
  readonly goesOn?: {
    readonly since: string;
    readonly ownPaths: readonly string[];
    /** How many they are; 0 to have them counted. */
    readonly ownRuns: number;
  };
  /** A second copy of the layer, fsynced inside the pause (`diff` and `full`). */
  readonly durableLayerPath?: string;
  /** When, after this branch, to make ready for the next; absent: not at all. */
  readonly readyMs?: number;
  /** For tests: the tracking of older kernels. */
  readonly tracking?: 'async' | 'sync';
}

/** The pause window, in microseconds and pages. `pauseUs` bounds the time the vCPUs stood still from above. */
export interface PagerPause {
  readonly pauseUs: number;
  /** Between QEMU's STOP and RESUME events, a bound from below; 0 when it did not tell. */
  readonly eventsUs: number;
  /** Until the vCPUs stood still and QEMU came to its device state. */
  readonly stopUs: number;
  readonly scanUs: number;
  readonly copyUs: number;
  readonly tailUs: number;
  /** From then on: the device state saved, beside it scan, copy and tail, and the VM run again. */
  readonly stateUs: number;
  readonly precopyUs: number;
  /** Before the pre-copy. */
  readonly prepareUs: number;
  /** Making ready the memory that the pause writes to. */
  readonly reserveUs: number;
  readonly precopiedPages: number;
  readonly passes: number;
  readonly residuePages: number;
  /** Pages protected in the pause and saved after it; 0 when the residue was copied. */
  readonly armedPages: number;
  /** Why none could be, as `EPERM`, although that would have been cheaper than the copy. */
  readonly armError?: string;
  readonly tailBytes: number;
  /** Pauses; all but the last were cut short because the disk had grown too much. The other figures are of the last. */
  readonly windows: number;
  /** How many spares are in use now. */
  readonly switches: number;
}

/** A finished capture. */
export interface PagerCapture {
  readonly capturedBytes: number;
  readonly sweepUs: number;
  readonly faults: number;
  /** The layer holds what was written since the branch before, and stands on that one's layers too. */
  readonly wentOn: boolean;
  readonly runs: readonly PagerRun[];
}

/** A branch under way: the source runs again once `running` resolves; both reject with the branch's failure. */
export interface PagerBranch {
  readonly running: Promise<PagerPause>;
  readonly done: Promise<PagerCapture>;
}

interface Exchange {
  readonly line: string;
  readonly intermediate?: Deferred<PagerMessage>;
  readonly answer: Deferred<PagerMessage>;
}

export class PagerClient {
  readonly #socket: Socket;
  readonly #lines = new BoundedLines(MAX_LINE_BYTES);
  readonly #queue: Exchange[] = [];
  readonly #gone = new Deferred<undefined>();
  #failure: PagerDisconnected | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (cause) => this.#end(`Pager connection failed: ${cause.message}`, cause));
    socket.on('close', () => {
      this.#end('The pager closed its connection');
      this.#gone.resolve(undefined);
    });
  }

  /** Rejects with PagerDisconnected when nobody listens. */
  static async connect(socketPath: string): Promise<PagerClient> {
    const socket = createConnection(socketPath);
    const connected = new Deferred<undefined>();
    socket.once('connect', () => connected.resolve(undefined));
    socket.once('error', (cause) =>
      connected.reject(new PagerDisconnected(`No pager at ${socketPath}: ${cause.message}`, { cause })),
    );
    await connected.promise;
    return new PagerClient(socket);
  }

  async hello(): Promise<{ version: number; pageBytes: number; tracking: PagerTracking }> {
    const answer = await this.#request(formatRequest('hello', []));
    const tracking = answer.fields.get('tracking');
    return {
      version: number(answer, 'version'),
      pageBytes: number(answer, 'page_bytes'),
      tracking: tracking === 'async' || tracking === 'sync' ? tracking : 'none',
    };
  }

  /** Lays the layers, bottom first, under the guest's RAM. Once per VMM, before its vCPUs run. */
  async map(markerPath: string, layerPaths: readonly string[]): Promise<PagerMapping> {
    const layers = layerPaths.map((path) => ['layer', path] as const);
    const answer = await this.#request(formatRequest('map', [['marker', markerPath], ...layers]));
    return { ramBytes: number(answer, 'ram_bytes'), mappedRuns: number(answer, 'mapped_runs') };
  }

  /** Captures the VM; whatever fails, it runs on. Throws a TypeError for a path no request can hold. */
  branch(request: PagerBranchRequest): PagerBranch {
    const running = new Deferred<PagerMessage>();
    const exchange: Exchange = {
      line: formatRequest('branch', [
        ['mode', request.mode],
        ['layer', request.layerPath],
        ['state', request.statePath],
        ['deadline_ms', request.deadlineMs],
        ['overlay', request.disk?.overlayPath],
        ['tail', request.disk?.tailPath],
        ...(request.disk?.spares ?? []).flatMap((spare) => [
          ['spare', spare.path] as const,
          ['switch', qmpMembers(spare.switch)] as const,
        ]),
        ['fold_from', request.foldFrom],
        ['durable', request.durableLayerPath],
        ['name', request.name],
        ['since', request.goesOn?.since],
        ...(request.goesOn?.ownPaths ?? []).map((path) => ['own', path] as const),
        ['own_runs', request.goesOn?.ownRuns],
        ['tracking', request.tracking],
        ['runs_max', MAX_RUNS_BYTES],
        ['ready_ms', request.readyMs],
      ]),
      intermediate: running,
      answer: new Deferred(),
    };
    // Both fail together; whoever waits for one of them only is not to be told of the other as unhandled.
    exchange.answer.promise.catch(running.reject);
    const done = exchange.answer.promise.then(readCapture);
    done.catch(() => undefined);
    const paused = running.promise.then(readPause);
    paused.catch(() => undefined);
    this.#send(exchange);
    return { running: paused, done };
  }

  /** Idempotent. A request under way fails here and goes on in the VMM. */
  async close(): Promise<void> {
    this.#end('The pager client was closed');
    await this.#gone.promise;
  }

  #request(line: string): Promise<PagerMessage> {
    const answer = new Deferred<PagerMessage>();
    this.#send({ line, answer });
    return answer.promise;
  }

  #send(exchange: Exchange): void {
    if (this.#failure !== undefined) {
      exchange.answer.reject(this.#failure);
      return;
    }
    this.#queue.push(exchange);
    if (this.#queue.length === 1) this.#socket.write(exchange.line);
  }

  #receive(chunk: Buffer): void {
    try {
      for (const line of this.#lines.push(chunk)) this.#dispatch(parseAnswer(line));
    } catch (cause) {
      this.#end('The pager broke its protocol', cause);
    }
  }

  #dispatch(message: PagerMessage): void {
    const current = this.#queue[0];
    if (current === undefined) throw new Error(`Answer without a request: ${message.word}`);
    if (message.word === 'running') {
      current.intermediate?.resolve(message);
      return;
    }
    // Read before the request leaves the queue: an answer that is none must not leave anybody waiting.
    const failure = message.word === 'ok' ? undefined : readError(message);
    this.#queue.shift();
    if (this.#queue[0] !== undefined) this.#socket.write(this.#queue[0].line);
    if (failure === undefined) current.answer.resolve(message);
    else current.answer.reject(failure);
  }

  #end(reason: string, cause?: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = new PagerDisconnected(reason, cause === undefined ? undefined : { cause });
    this.#socket.destroy();
    for (const exchange of this.#queue.splice(0)) exchange.answer.reject(this.#failure);
  }
}

/** A QMP command as the pager takes it: the members of its object, to which it adds an id. */
function qmpMembers(command: { readonly execute: string; readonly arguments: object }): string {
  return JSON.stringify(command).slice(1, -1);
}

function number(message: PagerMessage, key: string, otherwise = NaN): number {
  const value = Number(message.fields.get(key) ?? otherwise);
  if (!Number.isSafeInteger(value)) throw new Error(`The pager's "${message.word}" has no number "${key}"`);
  return value;
}

function readError(message: PagerMessage): PagerError {
  return new PagerError(message.fields.get('operation') ?? 'understand itself', number(message, 'errno'));
}

function armFailure(message: PagerMessage): Pick<PagerPause, 'armError'> {
  const errno = number(message, 'arm_errno');
  return errno === 0 ? {} : { armError: errnoName(errno) ?? `errno ${errno}` };
}

function readPause(message: PagerMessage): PagerPause {
  return {
    pauseUs: number(message, 'pause_us'),
    eventsUs: number(message, 'events_us'),
    stopUs: number(message, 'stop_us'),
    scanUs: number(message, 'scan_us'),
    copyUs: number(message, 'copy_us'),
    tailUs: number(message, 'tail_us'),
    stateUs: number(message, 'state_us'),
    precopyUs: number(message, 'precopy_us'),
    // Pagers of VMs that were started before tell nothing of these two.
    prepareUs: number(message, 'prepare_us', 0),
    reserveUs: number(message, 'reserve_us', 0),
    precopiedPages: number(message, 'precopied_pages'),
    passes: number(message, 'passes'),
    residuePages: number(message, 'residue_pages'),
    armedPages: number(message, 'armed_pages'),
    ...armFailure(message),
    tailBytes: number(message, 'tail_bytes'),
    windows: number(message, 'windows'),
    switches: number(message, 'switches'),
  };
}

function readCapture(message: PagerMessage): PagerCapture {
  return {
    capturedBytes: number(message, 'captured_bytes'),
    sweepUs: number(message, 'sweep_us'),
    faults: number(message, 'faults'),
    // Pagers of before that could be do not tell, and never go on.
    wentOn: message.fields.get('went_on') === '1',
    runs: parseRuns(message.fields.get('runs') ?? ''),
  };
}
