/** Files of a host without VMs whose guests are one agent on this machine: what is done to them is done by it. */
import type { AgentClient } from '../../src/agent/index.js';
import type { FilesHost } from '../../src/sandbox/host/guest-files.js';
import { toCatalogue } from '../../src/sandbox/host/failures.js';

export function agentFiles({ files }: AgentClient): FilesHost {
  const told = async <T>(id: string, work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      throw toCatalogue(error, { operation: 'work on files', sandboxId: id });
    }
  };
  return {
    read: (id, which, { signal }) => told(id, files.read(which, signal)),
    write: (id, what, { signal }) => told(id, files.write(what, signal)),
    stat: (id, which, { signal }) => told(id, files.stat(which, { signal })),
    list: (_id, which, { signal }) => files.list(which, signal),
    watch: (_id, which, { signal }) => files.watch(which, signal),
    pack: (id, which, { signal }) => told(id, files.pack(which, signal)),
    unpack: (id, what, { signal }) => told(id, files.unpack(what, signal)),
    makeFolder: (id, what, { signal }) => told(id, files.makeFolder(what, { signal })),
    move: (id, what, { signal }) => told(id, files.move(what, { signal })),
    remove: (id, which, { signal }) => told(id, files.remove(which, signal)),
  };
}
