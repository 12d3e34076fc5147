/** Whether a service is ready, asked once: in the guest, so that it needs no port of the host and no network. */
import { request as httpRequest } from 'node:http';
import type { Duplex } from 'node:stream';
import { AgentDeadline, AgentRefused, AgentUnreachable, type AgentClient } from '../../agent/index.js';
import type { ReadyCheck } from '../../contract/index.js';
import { anyOf, messageOf } from '../../base/index.js';
import type { ServiceLog } from './service-log.js';

/** Of what a command says when it is not well. */
const MAX_SAID = 200;

/** Whom a look is for, and how long it may take. */
export interface Look {
  readonly agent: Pick<AgentClient, 'exec' | 'dial' | 'files'>;
  readonly log: ServiceLog;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Undefined when it is ready, or else what is missing. Throws what is not the service's doing. */
export async function look(check: ReadyCheck, how: Look): Promise<string | undefined> {
  try {
    return await ask(check, how);
  } catch (error) {
    how.signal.throwIfAborted();
    // A guest that is busy with its service may answer late, or not at all.
    if (error instanceof AgentRefused) return error.problem;
    if (error instanceof AgentDeadline || error instanceof AgentUnreachable) return messageOf(error);
    throw error;
  }
}

async function ask(check: ReadyCheck, how: Look): Promise<string | undefined> {
  const { agent, log, timeoutMs, signal } = how;
  if (check.kind === 'log') return log.hasMatched ? undefined : 'no line of its output was that';
  if (check.kind === 'file') {
    // Root sees what lies in a closed folder, too; the number is known without a passwd file.
    const which = { path: Buffer.from(check.path), user: '0', follow: true };
    await agent.files.stat(which, { timeoutMs, signal });
    return undefined;
  }
  if (check.kind === 'exec') {
    const { exitCode, stdout, stderr } = await agent.exec({ args: check.args, timeoutMs }, signal);
    return exitCode === 0 ? undefined : `exit code ${exitCode}${said(stderr, stdout)}`;
  }
  const stream = agent.dial(check.port, { timeoutMs, signal });
  try {
    await stream.connected;
    return check.kind === 'tcp' ? undefined : await askHttp(check, stream, { timeoutMs, signal });
  } finally {
    stream.destroy();
  }
}

/** The last line of what a command printed. */
function said(...outputs: readonly string[]): string {
  const last = outputs.map((text) => text.trim().split('\n').at(-1) ?? '').find((line) => line !== '');
  return last === undefined ? '' : `: ${last.slice(0, MAX_SAID)}`;
}

/** Ready is what answers with success, or with where to go on. */
function askHttp(
  { port, path }: ReadyCheck & { readonly kind: 'http' },
  stream: Duplex,
  { timeoutMs, signal }: Pick<Look, 'timeoutMs' | 'signal'>,
): Promise<string | undefined> {
  const options = {
    ...{ host: 'localhost', port, path, headers: { connection: 'close' } },
    ...{ createConnection: () => stream, signal: anyOf(AbortSignal.timeout(timeoutMs), signal) },
  };
  return new Promise((resolve) => {
    const asked = httpRequest(options, (response) => {
      const { statusCode = 0 } = response;
      response.destroy();
      resolve(statusCode >= 200 && statusCode < 400 ? undefined : `it answered with ${statusCode}`);
    });
    asked.on('error', (error) => resolve(`it did not answer: ${error.message}`));
    // Nothing else is told of an upgrade that nobody asked for.
    asked.on('close', () => resolve('it did not answer: it speaks another protocol'));
    asked.end();
  });
}
