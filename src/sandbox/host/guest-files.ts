/** Files of sandboxes' guests, as the outside sees them. */
import type {
  FileChange,
  FileEntry,
  FileMove,
  FileRange,
  FileReading,
  FileSubject,
  FileWrite,
  Input,
  WatchNews,
} from '../../agent/index.js';
import { Deferred } from '../../base/index.js';
import type { Sandbox } from '../entity/sandbox.js';
import type { CallContext } from './call.js';
import type { HostContext } from './context.js';
import { guestFailure, inGuest, streamFromGuest } from './in-guest.js';

export interface FilesHost {
  /** An open file; the call's signal closes it, as its end and `close()` do. */
  read(id: string, which: FileSubject & FileRange, call: CallContext): Promise<FileReading>;
  write(id: string, what: FileWrite, call: CallContext): Promise<FileEntry>;
  stat(id: string, which: FileSubject & { readonly follow?: boolean }, call: CallContext): Promise<FileEntry>;
  list(
    id: string,
    which: FileSubject & { readonly depth?: number },
    call: CallContext,
  ): AsyncGenerator<FileEntry, void, undefined>;
  /** A folder's content as a tar archive. */
  pack(id: string, which: FileSubject, call: CallContext): Promise<AsyncGenerator<Buffer, void, undefined>>;
  /** How many entries were unpacked into the folder. */
  unpack(
    id: string,
    what: FileSubject & { readonly bytes: Input; readonly parents?: boolean },
    call: CallContext,
  ): Promise<number>;
  /** What changes from now on; ends when what is watched is gone. */
  watch(
    id: string,
    which: FileSubject & { readonly recursive?: boolean },
    call: CallContext,
  ): AsyncGenerator<WatchNews, void, undefined>;
  makeFolder(id: string, what: FileChange, call: CallContext): Promise<FileEntry>;
  move(id: string, what: FileMove, call: CallContext): Promise<FileEntry>;
  remove(id: string, which: FileSubject & { readonly recursive?: boolean }, call: CallContext): Promise<void>;
}

export class GuestFiles implements FilesHost {
  readonly #context: HostContext;

  constructor(context: HostContext) {
    this.#context = context;
  }

  read(id: string, which: FileSubject & FileRange, { signal }: CallContext): Promise<FileReading> {
    const attempt = { id, operation: 'read a file' };
    return inGuest(this.#context, attempt, async (sandbox) => {
      const reading = await sandbox.agent.files.read(which, signal);
      const end = inUse(sandbox, signal);
      return {
        ...reading,
        bytes: ending(reading.bytes, end, (error) => guestFailure(sandbox, attempt.operation, error)),
        close: () => reading.close().finally(end),
      };
    });
  }

  write(id: string, what: FileWrite, { signal }: CallContext): Promise<FileEntry> {
    return inGuest(this.#context, { id, operation: 'write a file' }, ({ agent }) =>
      agent.files.write(what, signal),
    );
  }

  stat(
    id: string,
    which: FileSubject & { readonly follow?: boolean },
    { signal }: CallContext,
  ): Promise<FileEntry> {
    return inGuest(this.#context, { id, operation: 'look at a file' }, ({ agent }) =>
      agent.files.stat(which, { signal }),
    );
  }

  list(
    id: string,
    which: FileSubject & { readonly depth?: number },
    { signal }: CallContext,
  ): AsyncGenerator<FileEntry, void, undefined> {
    return streamFromGuest(this.#context, { id, operation: 'list a folder' }, ({ agent }) =>
      agent.files.list(which, signal),
    );
  }

  pack(
    id: string,
    which: FileSubject,
    { signal }: CallContext,
  ): Promise<AsyncGenerator<Buffer, void, undefined>> {
    const operation = 'read a tree';
    return inGuest(this.#context, { id, operation }, async (sandbox) => {
      const bytes = await sandbox.agent.files.pack(which, signal);
      const end = inUse(sandbox, signal);
      return ending(bytes, end, (error) => guestFailure(sandbox, operation, error));
    });
  }

  unpack(
    id: string,
    what: FileSubject & { readonly bytes: Input; readonly parents?: boolean },
    { signal }: CallContext,
  ): Promise<number> {
    return inGuest(this.#context, { id, operation: 'write a tree' }, ({ agent }) =>
      agent.files.unpack(what, signal),
    );
  }

  watch(
    id: string,
    which: FileSubject & { readonly recursive?: boolean },
    { signal }: CallContext,
  ): AsyncGenerator<WatchNews, void, undefined> {
    return streamFromGuest(this.#context, { id, operation: 'watch files' }, ({ agent }) =>
      agent.files.watch(which, signal),
    );
  }

  makeFolder(id: string, what: FileChange, { signal }: CallContext): Promise<FileEntry> {
    return inGuest(this.#context, { id, operation: 'make a folder' }, ({ agent }) =>
      agent.files.makeFolder(what, { signal }),
    );
  }

  move(id: string, what: FileMove, { signal }: CallContext): Promise<FileEntry> {
    return inGuest(this.#context, { id, operation: 'move a file' }, ({ agent }) =>
      agent.files.move(what, { signal }),
    );
  }

  remove(
    id: string,
    which: FileSubject & { readonly recursive?: boolean },
    { signal }: CallContext,
  ): Promise<void> {
    return inGuest(this.#context, { id, operation: 'remove a file' }, ({ agent }) =>
      agent.files.remove(which, signal),
    );
  }
}

/** The sandbox is in use until that is called, or the signal fires. */
function inUse({ lifetime }: Sandbox, signal: AbortSignal): () => void {
  const over = new Deferred<undefined>();
  void lifetime.during(() => over.promise);
  const end = (): void => over.resolve(undefined);
  signal.addEventListener('abort', end, { once: true });
  return end;
}

async function* ending(
  bytes: AsyncIterable<Buffer>,
  end: () => void,
  translate: (error: unknown) => unknown,
): AsyncGenerator<Buffer, void, undefined> {
  try {
    yield* bytes;
  } catch (error) {
    throw translate(error);
  } finally {
    end();
  }
}
