/**
 * The guest agent itself as a plain process of the host: it serves the protocol and leaves the machine as it
 * is.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const GUEST_DIR = join(import.meta.dirname, '../../../guest');

export interface RealAgent {
  readonly port: number;
  /** A folder of its own, the working directory of what it runs. */
  readonly dir: string;
  /** Script run by identify once there is a secret, if the test writes it. */
  readonly hookPath: string;
  readonly pid: number;
  close(): Promise<void>;
}

/** Starts an agent with a warm Python interpreter that imports nothing. */
export async function startRealAgent(): Promise<RealAgent> {
  const dir = await mkdtemp(join(tmpdir(), 'bough-agent-'));
  const hookPath = join(dir, 'after-restore');
  const config = {
    port: 0,
    bind: '127.0.0.1',
    cwd: dir,
    state_path: join(dir, 'state/agent.json'),
    hook_path: hookPath,
    environment: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: dir, LANG: 'C.UTF-8' },
    interpreter: ['python3', join(GUEST_DIR, 'interpreters/python.py')],
  };
  const configPath = join(dir, 'config.json');
  await writeFile(configPath, JSON.stringify(config));
  const args = ['-I', '-S', '-B', join(GUEST_DIR, 'agent'), '--config', configPath, '--unprivileged'];
  const child = spawn('python3', args, { stdio: ['ignore', 'pipe', 'inherit'] });
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
