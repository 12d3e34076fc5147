/** Which walls VMs of this daemon get: as was wished for, as far as the host can, and not less than was required. */
import { ISOLATION_LEVELS, type Emit, type IsolationLevel } from '../../contract/index.js';
import { DEFAULT_VMM_UIDS, whyNotConfined, whyNotWalled, type UidRange } from '../../vmm/index.js';
import { sandboxesDir, type Tiers } from '../entity/paths.js';
import type { SandboxRegistry } from '../entity/registry.js';
import { openWays } from '../entity/vmm-files.js';
import { Walls } from '../entity/walls.js';

export interface IsolationOptions {
  /** `auto`: as much as the host can. */
  readonly isolation?: IsolationLevel | 'auto' | undefined;
  /** The daemon does not start with less. */
  readonly requireIsolation?: IsolationLevel | undefined;
  /** Users for VMMs. */
  readonly vmmUids?: UidRange | undefined;
}

/** The host cannot give what was required. */
export class IsolationMissing extends Error {
  override readonly name = 'IsolationMissing';

  constructor({ lacks, why }: Shortfall) {
    super(`${lacks === 'user' ? 'Cannot give each VMM a user of its own' : 'Cannot confine VMMs'}: ${why}`);
  }
}

/** Throws IsolationMissing. The folders of both tiers are there by now. */
export async function openWalls(
  { isolation = 'none', requireIsolation = 'none', vmmUids = DEFAULT_VMM_UIDS }: IsolationOptions,
  host: {
    readonly tiers: Tiers;
    readonly qemuPath: string;
    readonly programs: readonly string[];
    readonly sandboxes: SandboxRegistry;
    readonly emit: Emit;
  },
): Promise<Walls | undefined> {
  const wished = isolation === 'auto' ? 'confined' : isolation;
  const required = highest(isolation === 'auto' ? 'none' : isolation, requireIsolation);
  const wanted = highest(wished, required);
  if (wanted === 'none') return undefined;
  const shortfall = await shortfallOf(wanted, vmmUids, host);
  const level = shortfall === undefined ? wanted : below(shortfall.lacks);
  if (shortfall !== undefined && highest(level, required) !== level) throw new IsolationMissing(shortfall);
  if (shortfall !== undefined) host.emit('isolation.missing', { reason: shortfall.why });
  return level === 'none' ? undefined : new Walls(vmmUids, host.sandboxes, level === 'confined');
}

/** The first level that cannot be had. */
interface Shortfall {
  readonly lacks: Exclude<IsolationLevel, 'none'>;
  readonly why: string;
}

const rank = (level: IsolationLevel): number => ISOLATION_LEVELS.indexOf(level);
const highest = (one: IsolationLevel, other: IsolationLevel): IsolationLevel =>
  rank(one) > rank(other) ? one : other;
const below = (level: IsolationLevel): IsolationLevel => ISOLATION_LEVELS[rank(level) - 1] ?? 'none';

async function shortfallOf(
  wanted: IsolationLevel,
  vmmUids: UidRange,
  { tiers, qemuPath, programs }: { tiers: Tiers; qemuPath: string; programs: readonly string[] },
): Promise<Shortfall | undefined> {
  if (process.getuid?.() === 0) await openWays(tiers, vmmUids.first);
  const folders = [tiers.stateDir, tiers.hotDir].map(sandboxesDir);
  const whyNoUser = await whyNotWalled(vmmUids, [...programs, ...folders]);
  if (whyNoUser !== undefined) return { lacks: 'user', why: whyNoUser };
  const why = wanted === 'confined' ? await whyNotConfined(qemuPath) : undefined;
  return why === undefined ? undefined : { lacks: 'confined', why };
}
