/**
 * The guest agent itself as a plain process of the host: it serves the protocol and leaves the machine as it
 * is.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { AgentClient } from '../../src/agent/index.js';

const PROJECT_DIR = join(import.meta.dirname, '../../..');
const AGENT_PATH = join(PROJECT_DIR, 'native/agent/build/bough-agent');

export interface RealAgent {
  readonly port: number;
  /** A folder of its own, the working directory of what it runs. */
  readonly dir: string;
  /** Script run by identify once there is a secret, if the test writes it. */
  readonly hookPath: string;
  readonly pid: number;
  close(): Promise<void>;
}

const PYTHON = ['python3', join(PROJECT_DIR, 'guest/interpreters/python.py')];
export const NODE = [process.execPath, join(PROJECT_DIR, 'guest/interpreters/node.mjs')];

/** Starts an agent with a warm interpreter; a Python one imports nothing. `imageUser` is what its image says under USER. */
export async function startRealAgent(
  interpreter: readonly string[] | null = PYTHON,
  imageUser = '',
): Promise<RealAgent> {
  const dir = await mkdtemp(join(tmpdir(), 'bough-agent-'));
  const hookPath = join(dir, 'after-restore');
  const config = {
    port: 0,
    bind: '127.0.0.1',
    cwd: dir,
    hook_path: hookPath,
    environment: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: dir, LANG: 'C.UTF-8' },
    interpreter,
    user: imageUser,
  };
  const child = await startInFolder(dir, JSON.stringify(config));
  assert(child.stdout, 'a pipe, as was asked for');
  const exited = once(child, 'exit');
  const close = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
    await rm(dir, { recursive: true, force: true });
  };
  for await (const line of createInterface({ input: child.stdout })) {
    const port = /listening on \S+:(\d+)$/.exec(line)?.[1];
    if (port !== undefined && child.pid !== undefined) {
      return { port: Number(port), dir, hookPath, pid: child.pid, close };
    }
  }
  await close();
  throw new Error('The agent ended before it listened');
}

/** It gets its configuration and the folder of its state as descriptors, as in a guest. */
async function startInFolder(dir: string, config: string) {
  const [configPath, stateDir] = [join(dir, 'config.json'), join(dir, 'state')];
  await writeFile(configPath, config);
  await mkdir(stateDir);
  await using configFile = await open(configPath);
  await using state = await open(stateDir);
  return spawn(AGENT_PATH, ['--unprivileged'], {
    stdio: ['ignore', 'pipe', 'inherit', configFile.fd, state.fd],
  });
}

/** A client of an agent that has just been started, and belongs to it from now on. */
export async function claimed(
  { port }: RealAgent,
  newSecret = 'the-only-secret-of-this-guest',
): Promise<AgentClient> {
  const client = new AgentClient({ host: '127.0.0.1', port });
  await client.waitReady();
  await client.identify({
    newSecret,
    seed: Buffer.alloc(32, 7),
    unixTimeNs: BigInt(Date.now()) * 1_000_000n,
  });
  return client;
}
