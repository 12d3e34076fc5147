/** From a guest that boots to one that is worth capturing: claimed, its interpreter warm, its service ready, at rest. */
import { AgentClient } from '../../agent/index.js';
import { anyOf, messageOf, sleep } from '../../base/index.js';
import { BoughError } from '../../contract/index.js';
import { readConsoleTail } from '../../vmm/index.js';
import { TRUST_VARIABLES, trustEgress } from '../entity/trust.js';
import type { Vm } from '../entity/vm.js';
import { whyEnded } from '../entity/why-ended.js';
import { claimGuest } from './identity.js';
import { startService, type Service } from './service.js';

/** A guest under software emulation takes about 12 s until its agent answers. */
const BOOT_DEADLINE_MS = 180_000;

/** What takes a guest; tests have other ways. */
export interface WarmUpSteps {
  readonly claimGuest: typeof claimGuest;
  readonly startService: typeof startService;
}

export const warmUpSteps: WarmUpSteps = { claimGuest, startService };

/** What it comes to. */
export interface Warmth {
  readonly service: Service | undefined;
  /** Whom the guest is to trust besides, as PEM. */
  readonly certificate?: string | undefined;
  /** How long the guest runs on after all that. */
  readonly restMs: number;
}

/** Returns the agent's secret. Throws `boot_failed`, and what `startService` throws. */
export async function warmUp(
  vm: Vm,
  { service, certificate, restMs }: Warmth,
  steps: WarmUpSteps,
  signal?: AbortSignal,
): Promise<string> {
  const boot = new AbortController();
  const stop = anyOf(boot.signal, signal);
  const died = vm.vmm.exited.then(async (exit) => {
    throw new Error(whyEnded(exit, vm.vmm.lastWords, await vm.vmm.logTail()));
  });
  died.catch(() => undefined);
  const warm = async (): Promise<string> => {
    const env = certificate === undefined ? undefined : TRUST_VARIABLES;
    const claim = { deadlineMs: BOOT_DEADLINE_MS, env };
    const secret = await steps.claimGuest(vm.agentAddress, claim, stop);
    const agent = new AgentClient({ ...vm.agentAddress, secret });
    if (certificate !== undefined) await trustEgress(agent, certificate, stop);
    if (service !== undefined) await steps.startService(agent, service, stop);
    await sleep(restMs, stop);
    return secret;
  };
  try {
    return await Promise.race([died, warm()]);
  } catch (cause) {
    if (signal?.aborted === true || cause instanceof BoughError) throw cause;
    throw await bootFailure(vm, cause);
  } finally {
    boot.abort();
  }
}

async function bootFailure({ vmm }: Vm, cause: unknown): Promise<BoughError> {
  const console = vmm.lastWords?.consoleTail ?? (await readConsoleTail(vmm.qmp));
  const lastLine = console.split('\n').at(-1) ?? '';
  const why = messageOf(cause);
  const problem = lastLine === '' ? why : `${why}; its console ends with: ${lastLine}`;
  return new BoughError('boot_failed', { problem }, { cause });
}
