/**
 * The grammar: `bough <noun> <verb>`, and short forms of what is typed most.
 *
 * A short form is the same command once more at the top; what belongs to the daemon or the host has no noun.
 */

import type { Command } from 'commander';
import { registerHubInspect } from './commands/hub/inspect.js';
import { registerHubKeygen } from './commands/hub/keygen.js';
import { registerHubKeys } from './commands/hub/keys.js';
import { registerHubTrust } from './commands/hub/trust.js';
import { registerImageBuild } from './commands/image/build.js';
import { registerImageImport } from './commands/image/import.js';
import { registerImageInspect } from './commands/image/inspect.js';
import { registerImageLs } from './commands/image/ls.js';
import { registerImagePrune } from './commands/image/prune.js';
import { registerImageRm } from './commands/image/rm.js';
import { registerNetworkCheck } from './commands/network/check.js';
import { registerNetworkLog } from './commands/network/log.js';
import { registerNetworkSet } from './commands/network/set.js';
import { registerNetworkShow } from './commands/network/show.js';
import { registerProcessKill } from './commands/process/kill.js';
import { registerLogs } from './commands/process/logs.js';
import { registerProcessLs } from './commands/process/ls.js';
import { registerRm } from './commands/rm.js';
import { registerBranch } from './commands/sandbox/branch.js';
import { registerCheckpoint } from './commands/sandbox/checkpoint.js';
import { registerCp } from './commands/sandbox/cp.js';
import { registerEval } from './commands/sandbox/eval.js';
import { registerExec } from './commands/sandbox/exec.js';
import { registerFork } from './commands/sandbox/fork.js';
import { registerSandboxInfo } from './commands/sandbox/info.js';
import { registerSandboxLs } from './commands/sandbox/ls.js';
import { registerPause } from './commands/sandbox/pause.js';
import { registerPortForward } from './commands/sandbox/port-forward.js';
import { registerResume } from './commands/sandbox/resume.js';
import { registerRollback, registerUndo } from './commands/sandbox/rollback.js';
import { registerRun } from './commands/sandbox/run.js';
import { registerSandboxRm } from './commands/sandbox/rm.js';
import { registerSpawn } from './commands/sandbox/spawn.js';
import { registerStats } from './commands/sandbox/stats.js';
import { registerTimeline } from './commands/sandbox/timeline.js';
import { registerTimeout } from './commands/sandbox/timeout.js';
import { registerSecretLs } from './commands/secret/ls.js';
import { registerSecretRm } from './commands/secret/rm.js';
import { registerSecretSet } from './commands/secret/set.js';
import { registerWatch } from './commands/sandbox/watch.js';
import { registerCompact } from './commands/snapshot/compact.js';
import { registerCreate } from './commands/snapshot/create.js';
import { registerExport } from './commands/snapshot/export.js';
import { registerImport } from './commands/snapshot/import.js';
import { registerPull } from './commands/snapshot/pull.js';
import { registerPush } from './commands/snapshot/push.js';
import { registerSnapshotInfo } from './commands/snapshot/info.js';
import { registerSnapshotLs } from './commands/snapshot/ls.js';
import { registerSnapshotRm } from './commands/snapshot/rm.js';
import { registerTokenAdd } from './commands/token/add.js';
import { registerTokenLs } from './commands/token/ls.js';
import { registerTokenRm } from './commands/token/rm.js';
import type { Context } from './context.js';

type Register = (parent: Command, context: Context) => void;

interface Noun {
  readonly description: string;
  readonly verbs: readonly Register[];
}

const nouns: Readonly<Record<string, Noun>> = {
  sandbox: {
    description: 'Start, use, branch and end sandboxes.',
    verbs: [
      registerSpawn,
      registerRun,
      registerSandboxLs,
      registerSandboxInfo,
      registerExec,
      registerEval,
      registerCp,
      registerPortForward,
      registerWatch,
      registerBranch,
      registerFork,
      registerCheckpoint,
      registerRollback,
      registerUndo,
      registerTimeline,
      registerTimeout,
      registerPause,
      registerResume,
      registerStats,
      registerSandboxRm,
    ],
  },
  snapshot: {
    description: 'Make, list, inspect, fold, move and remove snapshots.',
    verbs: [
      registerCreate,
      registerSnapshotLs,
      registerSnapshotInfo,
      registerCompact,
      registerExport,
      registerImport,
      registerPush,
      registerPull,
      registerSnapshotRm,
    ],
  },
  process: {
    description: 'See and end programs that were started to be kept (`bough exec --detach`).',
    verbs: [registerProcessLs, registerLogs, registerProcessKill],
  },
  network: {
    description: 'See and set what a sandbox may reach.',
    verbs: [registerNetworkShow, registerNetworkSet, registerNetworkCheck, registerNetworkLog],
  },
  hub: {
    description: 'Whose snapshots are believed here, and what signs those of this host. Needs no daemon.',
    verbs: [registerHubKeygen, registerHubTrust, registerHubKeys, registerHubInspect],
  },
  secret: {
    description: 'Keep values that sandboxes may use in requests and never have.',
    verbs: [registerSecretSet, registerSecretLs, registerSecretRm],
  },
  image: {
    description: 'Build, import, list and remove guest images. Needs no daemon.',
    verbs: [
      registerImageBuild,
      registerImageImport,
      registerImageLs,
      registerImageInspect,
      registerImageRm,
      registerImagePrune,
    ],
  },
  token: {
    description: 'Make, list and take back tokens for callers of the daemon. Needs no daemon.',
    verbs: [registerTokenAdd, registerTokenLs, registerTokenRm],
  },
};

/** What is typed most, by what it is short for. */
export const shortForms = {
  spawn: 'sandbox spawn',
  run: 'sandbox run',
  ls: 'sandbox ls',
  inspect: 'sandbox info',
  exec: 'sandbox exec',
  eval: 'sandbox eval',
  cp: 'sandbox cp',
  'port-forward': 'sandbox port-forward',
  watch: 'sandbox watch',
  branch: 'sandbox branch',
  fork: 'sandbox fork',
  checkpoint: 'sandbox checkpoint',
  rollback: 'sandbox rollback',
  undo: 'sandbox undo',
  timeline: 'sandbox timeline',
  timeout: 'sandbox timeout',
  pause: 'sandbox pause',
  resume: 'sandbox resume',
  stats: 'sandbox stats',
  ps: 'process ls',
  logs: 'process logs',
  snapshots: 'snapshot ls',
  export: 'snapshot export',
  import: 'snapshot import',
  push: 'snapshot push',
  pull: 'snapshot pull',
  rm: 'sandbox rm',
  'rm --snapshot': 'snapshot rm',
} as const satisfies Record<string, string>;

const short: readonly Register[] = [
  registerSpawn,
  registerRun,
  registerSandboxLs,
  (program, context) => registerSandboxInfo(program, context, 'inspect'),
  registerExec,
  registerEval,
  registerCp,
  registerPortForward,
  registerWatch,
  registerBranch,
  registerFork,
  registerCheckpoint,
  registerRollback,
  registerUndo,
  registerTimeline,
  registerTimeout,
  registerPause,
  registerResume,
  registerStats,
  (program, context) => registerProcessLs(program, context, 'ps'),
  registerLogs,
  (program, context) => registerSnapshotLs(program, context, 'snapshots'),
  registerPush,
  registerPull,
  registerExport,
  registerImport,
  registerRm,
];

export function registerNouns(program: Command, context: Context): void {
  for (const [name, { description, verbs }] of Object.entries(nouns)) {
    const noun = program.command(name).description(description).helpCommand(false);
    for (const register of verbs) register(noun, context);
  }
}

export function registerShortForms(program: Command, context: Context): void {
  for (const register of short) register(program, context);
}
