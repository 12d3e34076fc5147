/** Which walls VMs of this daemon get: as was wished for, as far as the host can, and not less than was required. */
import type { Emit, IsolationLevel } from '../../contract/index.js';
import { DEFAULT_VMM_UIDS, whyNotConfined, whyNotWalled, type UidRange } from '../../vmm/index.js';
import { sandboxesDir, type Tiers } from '../entity/paths.js';
import type { SandboxRegistry } from '../entity/registry.js';
import { openWays } from '../entity/vmm-files.js';
import { Walls } from '../entity/walls.js';
import type { HostContext } from './context.js';

export interface IsolationOptions {
  /** `auto`: as much as the host can. */
  readonly isolation?: IsolationLevel | 'auto' | undefined;
  /** The daemon does not start with less. */
  readonly requireIsolation?: IsolationLevel | undefined;
  /** Users for VMMs. */
  readonly vmmUids?: UidRange | undefined;
}

const WHAT_FAILS = {
  namespaced: 'Cannot give each VMM namespaces of its own',
  user: 'Cannot give each VMM a user of its own',
  confined: 'Cannot confine VMMs',
} as const;

/** The host cannot give what was required. */
export class IsolationMissing extends Error {
  override readonly name = 'IsolationMissing';

  constructor({ lacks, why }: Shortfall) {
    super(`${WHAT_FAILS[lacks]}: ${why}`);
  }
}

/** What each VM gets. */
export type GivenWalls = Pick<HostContext, 'walls' | 'namespaced'>;

interface Ground {
  readonly tiers: Tiers;
  readonly qemuPath: string;
  readonly programs: readonly string[];
  readonly sandboxes: SandboxRegistry;
  readonly emit: Emit;
}

/** Throws IsolationMissing. The folders of both tiers are there by now. */
export async function openWalls(
  { isolation = 'none', requireIsolation = 'none', vmmUids = DEFAULT_VMM_UIDS }: IsolationOptions,
  host: Ground,
): Promise<GivenWalls> {
  const wished = isolation !== 'auto' ? isolation : isRoot() ? 'confined' : 'namespaced';
  const wanted = includes(wished, requireIsolation) ? wished : requireIsolation;
  if (wanted === 'none') return {};
  const shortfall = await shortfallOf(wanted, vmmUids, host);
  const level = shortfall?.leaves ?? wanted;
  const isEnough = includes(level, requireIsolation) && (isolation === 'auto' || includes(level, isolation));
  if (shortfall !== undefined && !isEnough) throw new IsolationMissing(shortfall);
  if (shortfall !== undefined) host.emit('isolation.missing', { reason: shortfall.why });
  if (level === 'none') return {};
  if (level === 'namespaced') return { namespaced: true };
  return { walls: new Walls(vmmUids, host.sandboxes, level === 'confined') };
}

/** The first level that cannot be had, and what can. */
interface Shortfall {
  readonly lacks: Exclude<IsolationLevel, 'none'>;
  readonly leaves: IsolationLevel;
  readonly why: string;
}

const isRoot = (): boolean => process.getuid?.() === 0;

/** Whether all that `other` keeps from an attacker `level` does. */
const includes = (level: IsolationLevel, other: IsolationLevel): boolean =>
  level === other || level === 'confined' || other === 'none';

function shortfallOf(
  wanted: IsolationLevel,
  vmmUids: UidRange,
  host: Ground,
): Promise<Shortfall | undefined> {
  return wanted === 'namespaced' ? namespacesLack(host) : usersLack(wanted, vmmUids, host);
}

async function namespacesLack({ qemuPath }: Ground): Promise<Shortfall | undefined> {
  const why = isRoot()
    ? 'that is for a daemon that is not root; here user and confined can be had'
    : await whyNotConfined(qemuPath, { namespaced: true });
  return why === undefined ? undefined : { lacks: 'namespaced', leaves: 'none', why };
}

async function usersLack(
  wanted: IsolationLevel,
  vmmUids: UidRange,
  { tiers, qemuPath, programs }: Ground,
): Promise<Shortfall | undefined> {
  if (isRoot()) await openWays(tiers, vmmUids.first);
  const folders = [tiers.stateDir, tiers.hotDir].map(sandboxesDir);
  const whyNoUser = await whyNotWalled(vmmUids, [...programs, ...folders]);
  if (whyNoUser !== undefined) return { lacks: 'user', leaves: 'none', why: whyNoUser };
  const why = wanted === 'confined' ? await whyNotConfined(qemuPath, { namespaced: false }) : undefined;
  return why === undefined ? undefined : { lacks: 'confined', leaves: 'user', why };
}
