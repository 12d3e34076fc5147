/**
 * The inside of a guest, reached in one of two ways: through the daemon's API, or through an agent of a VM of
 * our own.
 */
import { compact } from '../base/index.js';
import type { AgentClient } from '../agent/index.js';
import type { Bough } from '../sdk/index.js';

/** Runs things in a guest. Both calls reject when the guest says they failed. */
export interface Guest {
  /** Runs a program and resolves with its standard output. */
  exec(args: readonly string[], stdin?: string): Promise<string>;
  /** Evaluates a Python expression in the image's warm interpreter and resolves with its repr. */
  eval(expression: string): Promise<string>;
}

const GUEST_DEADLINE_SECS = 120;

/** The guest of a sandbox. */
export function sandboxGuest(client: Bough, id: string, signal?: AbortSignal): Guest {
  return {
    async exec(args, stdin) {
      const request = { args: [...args], timeout_secs: GUEST_DEADLINE_SECS, stdin };
      const { stdout, stderr, exit_code: exitCode } = await client.sandboxes.exec(id, request, { signal });
      return checkedOutput(args, stdout, stderr, exitCode);
    },
    async eval(code) {
      const answer = await client.sandboxes.eval(id, { code, timeout_secs: GUEST_DEADLINE_SECS }, { signal });
      return checkedResult(answer.result, answer.error);
    },
  };
}

/** The guest behind an agent that is ours. */
export function agentGuest(agent: AgentClient): Guest {
  const timeoutMs = GUEST_DEADLINE_SECS * 1000;
  return {
    async exec(args, stdin) {
      const request = { args, timeoutMs, ...compact({ stdin }) };
      const { stdout, stderr, exitCode } = await agent.exec(request);
      return checkedOutput(args, stdout, stderr, exitCode);
    },
    async eval(code) {
      const { result, error } = await agent.eval(code, { timeoutMs });
      return checkedResult(result, error);
    },
  };
}

function checkedOutput(args: readonly string[], stdout: string, stderr: string, exitCode: number): string {
  if (exitCode === 0) return stdout;
  throw new Error(`In the guest, ${args[0] ?? ''} ended with ${exitCode}: ${stderr.trim().slice(-300)}`);
}

function checkedResult(result: string | null, error: string | null): string {
  if (error !== null) throw new Error(`In the guest, an evaluation failed: ${error.slice(-300)}`);
  return result ?? 'None';
}
