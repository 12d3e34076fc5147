/** Which kept process of a sandbox is meant: by its process id, by its tag (the latest of that tag), or the latest. */

import type { Bough, Process } from '../sdk/index.js';
import { BoughApiError } from '../sdk/index.js';

/** Rejects with the daemon's refusal, or with code `process_not_found`. */
export async function keptProcess(client: Bough, id: string, which: string | undefined): Promise<Process> {
  const processes = client.sandboxes.processes(id);
  if (which !== undefined && /^[0-9]+$/.test(which)) return processes.of(Number(which));
  const found = (await processes.list()).find(({ tag }) => which === undefined || tag === which);
  if (found !== undefined) return processes.of(found.pid);
  const what =
    which === undefined ? 'No process was' : `No process with the tag ${JSON.stringify(which)} was`;
  throw new BoughApiError(`${what} started to be kept in sandbox "${id}"`, {
    status: 404,
    code: 'process_not_found',
  });
}
