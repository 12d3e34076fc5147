/**
 * A hint for who runs a program that cannot find a host by its name: that the sandbox's network is as it is, not that it is broken. A program
 * is told no more than that there is no such name.
 *
 * It follows what the program printed, when that failed and said so in the words of the libraries that resolve names, and a person reads
 * along. Nothing is asked of the daemon before, and what is printed is passed on as it is.
 *
 * Not handled: addresses that are refused (the program says that nobody answers), and programs with words of their own.
 */
import type { SandboxNetwork } from '../sdk/index.js';
import type { Io } from './io.js';

/** Of glibc, musl, curl, git, apt and Node.js. */
const NOT_FOUND =
  /could not resolve|failure resolving|failure in name resolution|name or service not known|name does not resolve|ENOTFOUND|EAI_AGAIN/i;
/** More than the longest of these: one may come in two pieces. */
const KEPT_CHARACTERS = 40;

export interface Hinted {
  readonly io: Io;
  readonly id: string;
  readonly network: Pick<SandboxNetwork, 'get'>;
  /** Whether the sandbox is there afterwards. */
  readonly stays: boolean;
}

/** Runs a program by `run`, which prints to the Io that it is given and resolves with the status. */
export async function withNetworkHint(where: Hinted, run: (io: Io) => Promise<number>): Promise<number> {
  const { io } = where;
  if (!io.isTerminal) return run(io);
  const seen = { isNotFound: false, last: '' };
  const write: Io['write'] = (stream, bytes) => {
    const text = seen.last + Buffer.from(bytes).toString('latin1');
    seen.isNotFound ||= NOT_FOUND.test(text);
    seen.last = text.slice(-KEPT_CHARACTERS);
    return io.write(stream, bytes);
  };
  const status = await run({ ...io, write });
  const hint = seen.isNotFound && status !== 0 ? await hintOf(where).catch(() => undefined) : undefined;
  if (hint !== undefined) io.stderr(`hint: ${hint}\n`);
  return status;
}

async function hintOf({ id, network, stays }: Hinted): Promise<string | undefined> {
  const { mode } = (await network.get()).policy;
  if (mode === 'internet') return undefined;
  const is = `the sandbox's network is "${mode}"`;
  return mode === 'none' || !stays
    ? `${is}; --network internet or --allow <host> gives a new one more`
    : `${is}; \`bough network log ${id}\` shows what was refused, \`bough network set ${id} --allow <host>\` opens it`;
}
