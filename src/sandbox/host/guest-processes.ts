/** Kept processes of sandboxes' guests, as the outside sees them. */
import type {
  Frame,
  Input,
  OutputRequest,
  Process,
  ProcessEvents,
  StartRequest,
  TerminalSize,
} from '../../agent/index.js';
import type { CallContext } from './call.js';
import type { HostContext } from './context.js';
import { inGuest, streamFromGuest, withEnv } from './in-guest.js';

/** One process of one sandbox. */
export interface ProcessId {
  readonly id: string;
  readonly pid: number;
}

export interface ProcessesHost {
  start(id: string, spec: StartRequest, call: CallContext): Promise<Process>;
  /** Yields `started` first; with `kill` the program ends with whoever stops iterating. */
  startAttached(
    id: string,
    spec: StartRequest & { readonly kill: boolean },
    call: CallContext,
  ): ProcessEvents;
  list(id: string, call: CallContext): Promise<Process[]>;
  get(which: ProcessId, call: CallContext): Promise<Process>;
  output(which: ProcessId, request: OutputRequest, call: CallContext): ProcessEvents;
  /** As `output` with `follow`; `frames` are for the process. */
  attach(
    which: ProcessId,
    how: OutputRequest & { readonly frames: AsyncIterable<Frame<Uint8Array>> },
    call: CallContext,
  ): ProcessEvents;
  /** Resolves with how many bytes its standard input has had. */
  feed(
    which: ProcessId,
    how: { readonly input: Input; readonly eof: boolean },
    call: CallContext,
  ): Promise<number>;
  signal(which: ProcessId, signalNumber: number, call: CallContext): Promise<void>;
  resize(which: ProcessId, size: TerminalSize, call: CallContext): Promise<void>;
}

export class GuestProcesses implements ProcessesHost {
  readonly #context: HostContext;

  constructor(context: HostContext) {
    this.#context = context;
  }

  start(id: string, spec: StartRequest, { signal }: CallContext): Promise<Process> {
    const operation = 'start a program';
    return inGuest(this.#context, { id, operation }, (sandbox) =>
      sandbox.agent.startProcess(withEnv(spec, sandbox), { signal }),
    );
  }

  startAttached(
    id: string,
    { kill, ...spec }: StartRequest & { readonly kill: boolean },
    { signal }: CallContext,
  ): ProcessEvents {
    const operation = 'start a program';
    return streamFromGuest(this.#context, { id, operation }, (sandbox) =>
      sandbox.agent.startAttached(withEnv(spec, sandbox), { kill, signal }),
    );
  }

  list(id: string, { signal }: CallContext): Promise<Process[]> {
    const operation = 'list processes';
    return inGuest(this.#context, { id, operation }, ({ agent }) => agent.processes({ signal }));
  }

  get({ id, pid }: ProcessId, { signal }: CallContext): Promise<Process> {
    const operation = 'look at a process';
    return inGuest(this.#context, { id, operation }, ({ agent }) => agent.process(pid, { signal }));
  }

  output({ id, pid }: ProcessId, request: OutputRequest, { signal }: CallContext): ProcessEvents {
    const operation = "read a process's output";
    return streamFromGuest(this.#context, { id, operation }, ({ agent }) =>
      agent.output(pid, request, signal),
    );
  }

  attach(
    { id, pid }: ProcessId,
    { frames, ...request }: OutputRequest & { readonly frames: AsyncIterable<Frame<Uint8Array>> },
    { signal }: CallContext,
  ): ProcessEvents {
    const operation = 'attach to a process';
    return streamFromGuest(this.#context, { id, operation }, ({ agent }) =>
      agent.attach(pid, { request, frames, signal }),
    );
  }

  feed(
    { id, pid }: ProcessId,
    how: { readonly input: Input; readonly eof: boolean },
    { signal }: CallContext,
  ): Promise<number> {
    const operation = 'write to a process';
    return inGuest(this.#context, { id, operation }, ({ agent }) => agent.feed(pid, { ...how, signal }));
  }

  signal({ id, pid }: ProcessId, signalNumber: number, { signal }: CallContext): Promise<void> {
    const operation = 'signal a process';
    return inGuest(this.#context, { id, operation }, ({ agent }) =>
      agent.signal({ pid, signalNumber }, { signal }),
    );
  }

  resize({ id, pid }: ProcessId, size: TerminalSize, { signal }: CallContext): Promise<void> {
    const operation = 'resize a terminal';
    return inGuest(this.#context, { id, operation }, ({ agent }) => agent.resize({ pid, size }, { signal }));
  }
}
