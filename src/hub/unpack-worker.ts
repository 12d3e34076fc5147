/** A thread of `Unpackers`: checks a chunk, unpacks it, writes it to its places. It takes one after the other, and answers each. */
import { createHash } from 'node:crypto';
import { writeSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { ZSTDDecoder } from 'zstddec';
import type { UnpackAnswer, UnpackJob } from './unpackers.js';

const decoder = new ZSTDDecoder();

parentPort?.on('message', (job: UnpackJob) => void answer(job));

async function answer(job: UnpackJob): Promise<void> {
  const say = (said: UnpackAnswer): void => parentPort?.postMessage(said);
  try {
    await decoder.init();
    say({ problem: unpacked(job) });
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    say({ error: { message, code } });
  }
}

/** Undefined when all of it is where it belongs. */
function unpacked({ chunk, digest, rawBytes, places }: UnpackJob): string | undefined {
  if (`sha256:${createHash('sha256').update(chunk).digest('hex')}` !== digest)
    return `the blob ${digest} holds something else`;
  if (rawBytes === undefined) return undefined;
  // It has no more room than that, and gives nothing at all of what needs more.
  const bytes = decoder.decode(chunk, rawBytes);
  if (bytes.length === 0) return `a chunk cannot be unpacked to the ${rawBytes} bytes that it should hold`;
  if (bytes.length !== rawBytes) return `a chunk that should hold ${rawBytes} bytes holds ${bytes.length}`;
  for (const { fd, piece } of places) {
    let at = 0;
    for (const [offset, length] of piece) {
      writeFully(fd, bytes.subarray(at, at + length), offset);
      at += length;
    }
  }
  return undefined;
}

function writeFully(fd: number, bytes: Uint8Array, offset: number): void {
  for (let done = 0; done < bytes.length;) {
    done += writeSync(fd, bytes, done, bytes.length - done, offset + done);
  }
}
