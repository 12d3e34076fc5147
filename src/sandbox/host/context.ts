/** What every use case needs of the host it runs on; made once by `openHost`. */
import type { Emit } from '../../contract/index.js';
import type { Store } from '../../store/index.js';
import type { Cgroups } from '../../vmm/index.js';
import type { Admission } from '../start/admission.js';
import type { WarmVmms } from '../start/warm-vmms.js';
import type { OverlayTemplates } from '../disk/overlays.js';
import type { Tiers } from '../entity/paths.js';
import type { Networks } from '../entity/networks.js';
import type { Secrets } from '../entity/secrets.js';
import type { SandboxRegistry } from '../entity/registry.js';
import type { Walls } from '../entity/walls.js';
import type { VmHost } from '../entity/vm.js';

export interface HostContext {
  readonly tiers: Tiers;
  /** Built images. */
  readonly cacheDir: string;
  readonly store: Store;
  readonly vmHost: VmHost;
  readonly overlays: OverlayTemplates;
  readonly sandboxes: SandboxRegistry;
  readonly networks: Networks;
  /** What holds VMs to their limits. */
  readonly cgroups: Cgroups;
  /** Around each VM, where there are any. */
  readonly walls?: Walls;
  /** VMs that have none run as the daemon's user, each in namespaces of its own. */
  readonly namespaced?: boolean;
  readonly secrets: Secrets;
  /** VMMs that stand ready to become children; undefined where none do. */
  readonly warmVmms?: WarmVmms;
  /** Room in memory for VMs. */
  readonly admission: Admission;
  readonly emit: Emit;
}
