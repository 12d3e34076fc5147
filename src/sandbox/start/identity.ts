/**
 * Making a guest its own: the one call to the agent before anyone else may talk to it.
 *
 * A restored child still believes it is its source, at the instant of the capture: same clock, same random
 * numbers, same names, same secret. A call that fails leaves a guest nobody may use (fail closed).
 *
 * The call brings the time at which it was sent, and a guest that is slow to wake up takes it late: its clock would stay behind by as
 * much. So one that took long is told the time once more, now that it is awake, until it takes it quickly: the clock is behind by no more than that.
 */
import { randomBytes } from 'node:crypto';
import { AgentClient, AgentRefused, type ChannelAddress, type HeldPrograms } from '../../agent/index.js';
import { compact, monotonicMs } from '../../base/index.js';
import { newId } from '../entity/paths.js';

const IDENTIFY_DEADLINE_MS = 30_000;
/** Its file systems are written meanwhile. */
const FREEZE_DEADLINE_MS = 300_000;
/** How far behind a child's clock may begin. */
const TOLERATED_CLOCK_MS = 100;
/** On a host so busy that each takes long. */
const MOST_TIMES_TOLD = 5;
const SEED_BYTES = 64;
const NO_FREEZER = new Set(['unknown_op', 'no_freezer']);

/** Variables of all programs of a guest, its interpreter among them. */
interface WithVariables {
  readonly env?: Readonly<Record<string, string>> | undefined;
}

/** Claims a guest that boots and waits until it is warm; returns the secret it was given. */
export async function claimGuest(
  agentAddress: ChannelAddress,
  { deadlineMs, env }: WithVariables & { readonly deadlineMs: number },
  signal?: AbortSignal,
): Promise<string> {
  const agent = new AgentClient(agentAddress);
  const options = { timeoutMs: deadlineMs, signal };
  const secret = newSecret();
  await agent.waitReady(options);
  // As long a name as its children's, whose files then only need to be overwritten.
  await agent.identify({ ...freshIdentity(newId()), newSecret: secret, ...compact({ env }) }, options);
  await agent.waitWarm(options);
  return secret;
}

/**
 * Holds the programs of a guest that is to be captured, so that none of its children has any that runs before it is its own. Undefined
 * where the agent does not know how, or the kernel: those of somebody's own files.
 */
export async function freezeGuest(
  agentAddress: ChannelAddress,
  secret: string,
  signal?: AbortSignal,
): Promise<HeldPrograms | undefined> {
  const agent = new AgentClient({ ...agentAddress, secret });
  try {
    return await agent.freeze({ sync: true, timeoutMs: FREEZE_DEADLINE_MS, signal });
  } catch (error) {
    if (error instanceof AgentRefused && NO_FREEZER.has(error.code)) return undefined;
    throw error;
  }
}

/** Gives a restored child its own identity; returns its new secret. */
export async function identifyChild(
  agentAddress: ChannelAddress,
  sourceSecret: string,
  { id, env }: WithVariables & { readonly id: string },
  signal?: AbortSignal,
): Promise<string> {
  const agent = new AgentClient({ ...agentAddress, secret: sourceSecret });
  const secret = newSecret();
  let sentMs = monotonicMs();
  await agent.identify(
    { ...freshIdentity(id), newSecret: secret, ...compact({ env }) },
    { timeoutMs: IDENTIFY_DEADLINE_MS, signal },
  );
  for (let times = 0; monotonicMs() - sentMs > TOLERATED_CLOCK_MS && times < MOST_TIMES_TOLD; times++) {
    sentMs = monotonicMs();
    if (!(await setClockIfKnown(agent, signal))) break;
  }
  return secret;
}

/** False of an agent of an older image, which has no such call. */
async function setClockIfKnown(agent: AgentClient, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    await agent.setClock({ timeoutMs: IDENTIFY_DEADLINE_MS, signal });
    return true;
  } catch (error) {
    if (!(error instanceof AgentRefused)) throw error;
    return false;
  }
}

function newSecret(): string {
  return randomBytes(32).toString('hex');
}

function freshIdentity(id: string): {
  hostname: string;
  machineId: string;
  seed: Buffer;
  unixTimeNs: bigint;
} {
  return {
    hostname: `bough-${id}`,
    machineId: randomBytes(16).toString('hex'),
    seed: randomBytes(SEED_BYTES),
    unixTimeNs: BigInt(Date.now()) * 1_000_000n,
  };
}
