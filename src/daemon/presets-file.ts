/**
 * The rules behind presets, from the operator's file: `{"python": [{"allow": "index.example", "ports": [443]}], …}`.
 *
 * Not handled: a file that changes while the daemon runs.
 */
import { readFile } from 'node:fs/promises';
import { errorCode, messageOf } from '../base/index.js';
import { networkPolicySchema } from '../contract/index.js';
import { Policy, PolicyRefused, presetsSchema, type Presets } from '../network/index.js';
import { ConfigError } from './config.js';

/** The presets of a file; none without one. Throws `ConfigError`, also for rules that no policy could have. */
export async function readPresets(path: string | undefined): Promise<Presets> {
  if (path === undefined) return {};
  const refuse = (problem: string, cause?: unknown): ConfigError =>
    new ConfigError(`Cannot use the presets in ${path}: ${problem}`, { cause });
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw refuse(errorCode(error) === 'ENOENT' ? 'it does not exist' : messageOf(error), error);
  });
  try {
    const presets = presetsSchema.parse(JSON.parse(text));
    checkRules(presets);
    return presets;
  } catch (error) {
    throw refuse(problemOf(error), error);
  }
}

function checkRules(presets: Presets): void {
  const names = Object.keys(presets);
  Policy.compile(networkPolicySchema.parse({ mode: 'list', presets: names }), presets);
}

function problemOf(error: unknown): string {
  if (error instanceof PolicyRefused) return `"${error.path}" ${error.problem}`;
  if (error instanceof SyntaxError) return 'it is no JSON';
  const [issue] =
    (error as { issues?: readonly { path: readonly PropertyKey[]; message: string }[] }).issues ?? [];
  return issue === undefined ? messageOf(error) : `"${issue.path.join('.')}": ${issue.message}`;
}
