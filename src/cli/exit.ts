/**
 * How a command ends: 0 done, 1 failed, 2 wrong usage, 3 no daemon, 128 + n by signal n. `exec`, `run` and `eval` end with the guest's
 * status, or with what a shell says of a program that cannot be started: 127 or 126.
 */

import { CommanderError } from 'commander';
import { constants } from 'node:os';
import { messageOf } from '../base/index.js';
import { plainText } from '../base/table.js';
import type { ErrorCode } from '../contract/index.js';
import { BoughApiError, BoughUnreachable } from '../sdk/index.js';

export const exitCodes = { done: 0, failed: 1, usage: 2, unreachable: 3 } as const;

/** Ends the command with `exitCode` and without another word. */
export class CommandEnd extends Error {
  override readonly name = 'CommandEnd';
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`exit ${exitCode}`);
    this.exitCode = exitCode;
  }
}

/** Nobody reads what is printed any more. */
export class OutputClosed extends Error {
  override readonly name = 'OutputClosed';

  constructor(options?: ErrorOptions) {
    super('Nobody reads the output any more', options);
  }
}

/** The program was killed at the deadline it was given. */
export class ProgramTimedOut extends Error {
  override readonly name = 'ProgramTimedOut';

  constructor(timeoutSecs: number | undefined) {
    super(
      `The program was not done${timeoutSecs === undefined ? ' in time' : ` after ${timeoutSecs} s`} and was killed`,
    );
  }
}

/** What a shell says of a program that is not there, or cannot be run. */
function statusOfNotStarted(words: string): number {
  return words.includes('not found') ? 127 : 126;
}

/** What a shell says of a process that a signal ended. */
export function statusOfSignal(name: NodeJS.Signals): number {
  return 128 + constants.signals[name];
}

/** The command line or its environment is wrong. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** There is none over that state folder. */
export class NoDaemon extends Error {
  override readonly name = 'NoDaemon';

  constructor(stateDir: string) {
    super(`No daemon runs over ${stateDir}`);
  }
}

/** What a person may do about a failure. */
export interface Failure {
  readonly exitCode: number;
  readonly words: string | undefined;
  readonly hint: string | undefined;
}

const hints: Partial<Record<ErrorCode, string>> = {
  unauthorized: 'give --token-file, or set BOUGH_TOKEN_FILE or BOUGH_TOKEN',
  token_revoked: '`bough token add <name> --scope <scope>` makes another token, on the host of the daemon',
  scope_missing: '`bough token add <name> --scope <scope>` makes another token, on the host of the daemon',
  snapshot_not_found: '`bough snapshots` lists what there is',
  sandbox_not_found:
    '`bough ls` lists what runs; a snapshot is another thing: `bough snapshots`, `bough rm --snapshot <tag>`',
  image_not_found: '`bough image ls` lists built images, `bough image build <name>` builds one',
  tag_exists: 'choose another --tag, or remove it with `bough rm --snapshot <tag>`',
  snapshot_in_use: '--cascade deletes what builds on it too, --force deletes it all the same',
  mode_unsupported: '`bough doctor` says what this host can do',
  sandbox_outdated: 'everything else works; a sandbox that is started now can be branched',
  too_many_mappings: 'sysctl vm.max_map_count=262144 gives VMs started from then on more room',
  boot_failed: '`bough doctor` says what this host can do',
  agent_deadline: 'give it longer with --timeout <duration>',
  snapshot_incompatible:
    '`bough doctor` says what this host has; `bough snapshot create --like <snapshot>` makes one again that was booted from an image',
  name_exists: '`bough ls` lists names; `bough rm <name>` ends that sandbox',
  sandbox_not_running: '`bough inspect <id>` says why; `bough resume <id>` lets a paused one run',
  process_not_found: '`bough ps <id>` lists those that are known',
  network_fixed:
    'start another with `bough spawn --network <mode>`: one that began without a network stays so',
  no_memory: '`bough stats` shows what uses it, `bough rm` ends what is not needed',
  no_space: '`bough gc --dry-run` says what could go, `bough rm --snapshot <tag>` removes a snapshot',
  process_not_started:
    "the program is looked up in the PATH of the guest; `-- sh -c '…'` runs a line of a shell",
};

/** For errors of what runs in this process, by their names: to import their classes would load the daemon with each command. */
const localHints: readonly (readonly [name: string, hint: string])[] = [
  ['StoreLocked', '`bough stop` ends that daemon; or give another --state-dir (or BOUGH_STATE_DIR)'],
  [
    'SnapshotUntrusted',
    '`bough hub trust` believes a key; --allow-unsigned takes one that nobody has signed',
  ],
  ['StopNotAllowed', 'stop it as the user who started it, or as root'],
];

/** What is said after wrong usage, whoever found it. */
export const usageHint = '--help shows how it is used';

/** Sorts out whatever a command threw. */
export function describeFailure(error: unknown): Failure {
  if (error instanceof CommandEnd) return { exitCode: error.exitCode, words: undefined, hint: undefined };
  // Commander has printed its own words already.
  if (error instanceof CommanderError) {
    return {
      exitCode: error.exitCode === 0 ? exitCodes.done : exitCodes.usage,
      words: undefined,
      hint: undefined,
    };
  }
  if (error instanceof OutputClosed) return { exitCode: exitCodes.done, words: undefined, hint: undefined };
  const words = plainText(messageOf(error));
  if (error instanceof BoughUnreachable) {
    return {
      exitCode: exitCodes.unreachable,
      words,
      hint: 'start the daemon with `bough serve`, or give --url',
    };
  }
  if (error instanceof NoDaemon) {
    const hint = 'give the --state-dir it was started with, or BOUGH_STATE_DIR';
    return { exitCode: exitCodes.unreachable, words, hint };
  }
  if (error instanceof BoughApiError) {
    const hint = error.code === 'unexpected_answer' ? 'is it bough that listens there?' : hints[error.code];
    const exitCode = error.code === 'process_not_started' ? statusOfNotStarted(words) : exitCodes.failed;
    return { exitCode, words, hint };
  }
  if (error instanceof ProgramTimedOut)
    return { exitCode: exitCodes.failed, words, hint: hints.agent_deadline };
  if (error instanceof UsageError) return { exitCode: exitCodes.usage, words, hint: usageHint };
  // A configuration that cannot work, or a name that is none: the caller's, like a wrong flag.
  const isUsage = error instanceof TypeError || hasName(error, 'ConfigError');
  const hint = localHints.find(([name]) => hasName(error, name))?.[1] ?? ownHint(error);
  return { exitCode: isUsage ? exitCodes.usage : exitCodes.failed, words, hint };
}

/** What an error of this process says itself of what may be done. */
function ownHint(error: unknown): string | undefined {
  const hint = error instanceof Error && 'hint' in error ? error.hint : undefined;
  return typeof hint === 'string' ? hint : undefined;
}

function hasName(error: unknown, name: string): boolean {
  return error instanceof Error && error.name === name;
}
