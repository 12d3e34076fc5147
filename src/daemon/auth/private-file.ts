/** Files with what nobody else may know: read only where nobody else can read or replace them. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { errorCode } from '../../base/index.js';

/** The file cannot be used as it is; the message says why, without its name. */
export class UnusableFile extends Error {
  override readonly name = 'UnusableFile';
}

/**
 * The text of a file that only its owner can read. Throws `UnusableFile` when it is missing, a symbolic link, readable by others, owned by
 * another user, or larger than `maxBytes`.
 */
export async function readPrivateFile(path: string, maxBytes: number): Promise<string> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, flags).catch((error: unknown) => {
    throw new UnusableFile(openProblem(error), { cause: error });
  });
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw new UnusableFile('it is not a regular file');
    const mode = stat.mode & 0o777;
    if (mode !== 0o600 && mode !== 0o400)
      throw new UnusableFile(`its mode is 0${mode.toString(8)}, which must be 0600 or 0400`);
    if (stat.uid !== process.getuid?.() && stat.uid !== 0)
      throw new UnusableFile(`it belongs to user ${stat.uid}`);
    if (stat.size > maxBytes) throw new UnusableFile(`it is larger than ${maxBytes} bytes`);
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

function openProblem(error: unknown): string {
  const code = errorCode(error);
  if (code === 'ENOENT') return 'it does not exist';
  if (code === 'ELOOP') return 'it is a symbolic link';
  if (code === 'EACCES') return 'it cannot be read by this user';
  return String(code ?? error);
}
