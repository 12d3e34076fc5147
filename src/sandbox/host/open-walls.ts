/** Whether VMs of this daemon get walls: as was wished for, as far as the host can, and not less than was required. */
import type { Emit, IsolationLevel } from '../../contract/index.js';
import { DEFAULT_VMM_UIDS, whyNotWalled, type UidRange } from '../../vmm/index.js';
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

  constructor(why: string) {
    super(`Cannot give each VMM a user of its own: ${why}`);
  }
}

/** Throws IsolationMissing. The folders of both tiers are there by now. */
export async function openWalls(
  { isolation = 'none', requireIsolation = 'none', vmmUids = DEFAULT_VMM_UIDS }: IsolationOptions,
  host: {
    readonly tiers: Tiers;
    readonly programs: readonly string[];
    readonly sandboxes: SandboxRegistry;
    readonly emit: Emit;
  },
): Promise<Walls | undefined> {
  const isRequired = isolation === 'user' || requireIsolation === 'user';
  if (!isRequired && isolation === 'none') return undefined;
  const walls = new Walls(vmmUids, host.sandboxes);
  const { stateDir, hotDir } = host.tiers;
  if (process.getuid?.() === 0) await openWays(host.tiers, walls.readersGid);
  const folders = [stateDir, hotDir].map(sandboxesDir);
  const why = await whyNotWalled(vmmUids, [...host.programs, ...folders]);
  if (why === undefined) return walls;
  if (isRequired) throw new IsolationMissing(why);
  host.emit('isolation.missing', { reason: why });
  return undefined;
}
