/**
 * One run of skopeo, watched: it waits for ever for a registry that says nothing, and writes whatever one sends that has no end.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, monotonicMs, startRounds, type Rounds } from '../base/index.js';
import { ProgramMissing, RegistryFailed, type RegistryProblem } from './errors.js';
import { MAX_CONFIG_BYTES, MAX_MANIFEST_BYTES } from './format.js';
import { CHUNK_BYTES } from './pieces.js';
import { failureOf } from './registry-failure.js';
import { hostOf, type Remote } from './remote.js';
import { compressedBound } from './zstd.js';

/** How long nothing may move. */
const STALL_MS = 120_000;
const WATCH_MS = 500;
/** No blob of a snapshot has more. skopeo compares digests when all has come. */
const MAX_BLOB_BYTES = Math.max(MAX_CONFIG_BYTES, compressedBound(CHUNK_BYTES));
/** What skopeo calls a blob in a layout before it is whole. */
const UNFINISHED_BLOB = 'oci-put-blob';

export interface SkopeoOptions {
  readonly stallMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** The layout that it copies into. */
  readonly layoutDir?: string | undefined;
  /** Told now and then how many bytes it has written: files, pipes and sockets alike. */
  readonly onWritten?: ((bytes: number) => void) | undefined;
}

/** What it prints. Throws RegistryFailed, ProgramMissing, or the signal's reason. */
export async function skopeo(
  args: readonly string[],
  rest: readonly string[],
  remote: Remote,
  { signal, stallMs = STALL_MS, layoutDir, onWritten }: SkopeoOptions,
): Promise<string> {
  const ended = new AbortController();
  const end = (kind: RegistryProblem, problem: string): void =>
    ended.abort(new RegistryFailed(kind, `${hostOf(remote)} ${problem}`));
  const { execa } = await import('execa');
  const running = execa('setpriv', ['--pdeathsig', 'KILL', '--', 'skopeo', ...args, '--', ...rest], {
    reject: false,
    stdin: 'ignore',
    stripFinalNewline: false,
    maxBuffer: MAX_MANIFEST_BYTES,
    killSignal: 'SIGKILL',
    env: { LC_ALL: 'C.UTF-8' },
    cancelSignal: signal === undefined ? ended.signal : AbortSignal.any([signal, ended.signal]),
  });
  const rounds = [
    watchBytes(running.pid, {
      stallMs,
      onStall: () => end('unreachable', `has said nothing for ${stallMs / 1000} s`),
      onWritten,
    }),
    watchBlobs(layoutDir, () => end('failed', 'sends more than any part of a snapshot has')),
  ];
  try {
    const { failed, exitCode, stdout, stderr } = await running;
    signal?.throwIfAborted();
    if (!failed) return stdout;
    ended.signal.throwIfAborted();
    if (exitCode === 127) throw new ProgramMissing('skopeo', 'skopeo');
    throw failureOf(stderr, remote);
  } finally {
    await Promise.all(rounds.map((each) => each.stop()));
  }
}

/** Names of what a copy into that layout has not finished. */
export async function unfinishedBlobs(dir: string): Promise<string[]> {
  return (await readdir(dir).catch(() => [])).filter((name) => name.startsWith(UNFINISHED_BLOB));
}

interface Watching extends Pick<SkopeoOptions, 'onWritten'> {
  readonly stallMs: number;
  readonly onStall: () => void;
}

/** Calls `onStall` when the process has neither read nor written for so long: files, pipes and sockets alike. */
function watchBytes(pid: number | undefined, { stallMs, onStall, onWritten }: Watching): Rounds {
  let known = '';
  let movedAtMs = monotonicMs();
  return startRounds(Math.min(WATCH_MS, stallMs / 4), async () => {
    const counts = await readFile(`/proc/${String(pid)}/io`, 'utf8').catch(
      (error: unknown) => errorCode(error) ?? '',
    );
    if (counts !== known) [known, movedAtMs] = [counts, monotonicMs()];
    else if (monotonicMs() - movedAtMs > stallMs) onStall();
    onWritten?.(Number(/^wchar: (\d+)$/m.exec(counts)?.[1] ?? 0));
  });
}

function watchBlobs(dir: string | undefined, onExcess: () => void): Rounds {
  return startRounds(WATCH_MS, async () => {
    for (const name of dir === undefined ? [] : await unfinishedBlobs(dir)) {
      const { size } = await stat(join(dir ?? '', name)).catch(() => ({ size: 0 }));
      if (size > MAX_BLOB_BYTES) onExcess();
    }
  });
}
