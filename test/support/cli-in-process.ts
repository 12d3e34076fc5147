/** The command line within the test: arguments in, what it printed and its status out; what it has of its process is scripted. */
import { Readable } from 'node:stream';
import type { Io } from '../../src/cli/io.js';
import { run } from '../../src/cli/program.js';
import type { Providers } from '../../src/cli/providers.js';

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

export interface Scripted {
  readonly env?: Record<string, string>;
  readonly providers?: Partial<Providers>;
  readonly io?: Partial<Io>;
}

/** A process without input, terminal or signals, whose output goes nowhere. */
export const silentIo: Io = {
  stdout: () => undefined,
  stderr: () => undefined,
  write: () => Promise.resolve(),
  env: {},
  isTerminal: false,
  readStdin: () => Promise.resolve(''),
  stdinChunks: () => Readable.from([]),
  terminal: undefined,
  onSignal: () => () => undefined,
};

/** What is not scripted rejects, or is not there. */
export async function runInProcess(args: readonly string[], scripted: Scripted = {}): Promise<Ran> {
  const ran: Ran = { code: 0, stdout: '', stderr: '' };
  const io: Io = {
    ...silentIo,
    stdout: (text) => (ran.stdout += text),
    stderr: (text) => (ran.stderr += text),
    // Each byte a character: what is passed on is looked at as it is.
    write: (stream, bytes) => Promise.resolve(void (ran[stream] += Buffer.from(bytes).toString('latin1'))),
    env: scripted.env ?? {},
    ...scripted.io,
  };
  const providers: Providers = {
    runDaemon: unused,
    stopDaemon: unused,
    buildImage: unused,
    buildDefinition: unused,
    buildDockerfile: unused,
    importImage: unused,
    listImages: unused,
    findImage: unused,
    removeImage: unused,
    pruneImages: unused,
    generateHubKey: unused,
    trustHubKey: unused,
    listHubKeys: unused,
    pushSnapshot: unused,
    pullSnapshot: unused,
    inspectSnapshot: unused,
    runDoctor: unused,
    applySetting: unused,
    ...scripted.providers,
  };
  ran.code = await run(args, { io, providers });
  return ran;
}

function unused(): Promise<never> {
  return Promise.reject(new Error('not scripted'));
}
