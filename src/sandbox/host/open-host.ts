/**
 * Bringing a host up: probe QEMU, open the store (which takes the lock), adopt the sandboxes that are still alive.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compact, ResourceStack } from '../../base/index.js';
import type { Emit } from '../../contract/index.js';
import type { Presets } from '../../network/index.js';
import { openStore } from '../../store/index.js';
import { Cgroups, GATE_LIBRARY, probeQemu, type WantedAccelerator } from '../../vmm/index.js';
import { Admission } from '../start/admission.js';
import { WarmVmms } from '../start/warm-vmms.js';
import { endLines } from '../branch/line.js';
import { adoptSandboxes } from '../adopt/adopt.js';
import type { HostContext } from './context.js';
import { LocalHost } from './local-host.js';
import { openWalls, type IsolationOptions } from './open-walls.js';
import { OverlayTemplates } from '../disk/overlays.js';
import { overlaysDir, prepareSharedFolders } from '../entity/paths.js';
import { Networks } from '../entity/networks.js';
import { Secrets } from '../entity/secrets.js';
import { SandboxRegistry } from '../entity/registry.js';
import { checkStateFolder } from '../adopt/state-folder.js';

export interface HostOptions extends IsolationOptions {
  readonly stateDir: string;
  readonly hotDir: string;
  readonly cacheDir: string;
  readonly maxConcurrentBranches: number;
  /** What all snapshots together may take on disk. */
  readonly diskQuotaBytes?: number | undefined;
  /** What all memory layers together may take in the hot tier; default half of its file system. */
  readonly hotBudgetBytes?: number | undefined;
  /** Memory no sandbox is started into. */
  readonly memoryReserveBytes?: number | undefined;
  /** QEMU's program; Debian's if absent. */
  readonly qemuPath?: string | undefined;
  /** What guests are to boot under; `auto` if absent. */
  readonly accelerator?: WantedAccelerator | undefined;
  /** Rules that policies name. */
  readonly networkPresets?: Presets | undefined;
  /** Where names of policies are resolved, instead of the host's own servers. */
  readonly dnsServers?: readonly string[] | undefined;
  /** Keys that sign snapshots, and that are believed; a folder of the state folder if absent. */
  readonly hubKeysDir?: string | undefined;
  /** Whom to trust that vouches for hosts that secrets are sent to, in place of the host's own bundle. */
  readonly trustFile?: string | undefined;
  /** What a sandbox has of which nothing is said; `none` if absent. */
  readonly networkDefault?: 'none' | 'off' | undefined;
  /** VMMs that stand ready, of each machine that children were lately started on; none if absent. */
  readonly warmVmms?: number | undefined;
  readonly emit: Emit;
}

/** Built beside the TypeScript: native/pager/build of the package this file is part of. */
export const PAGER_LIBRARY = fileURLToPath(
  new URL('../../../../native/pager/build/libpager.so', import.meta.url),
);

const shortHash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 8);

/** Throws StateMissing, QemuUnusable, or what the store says of its folders. */
export async function openHost(options: HostOptions): Promise<LocalHost> {
  const { stateDir, hotDir, cacheDir, emit, maxConcurrentBranches, diskQuotaBytes, hotBudgetBytes } = options;
  await using undo = new ResourceStack();
  await checkStateFolder({ stateDir, hotDir });
  const qemu = await probeQemu(options.qemuPath);
  let makeDurableRoom = (): Promise<unknown> => Promise.resolve();
  let makeRoom = (): Promise<boolean> => Promise.resolve(false);
  const sandboxes = new SandboxRegistry();
  const store = undo.use(
    await openStore({
      stateDir,
      hotDir,
      emit,
      diskQuotaBytes,
      ...compact({ hotBudgetBytes }),
      makeDurableRoom: () => makeDurableRoom(),
      makeHotRoom: () => endLines(sandboxes),
    }),
  );
  await prepareSharedFolders({ stateDir, hotDir });
  const tiers = { stateDir, hotDir };
  const programs = [qemu.qemuPath, PAGER_LIBRARY, GATE_LIBRARY];
  const walls = await openWalls(options, { tiers, qemuPath: qemu.qemuPath, programs, sandboxes, emit });
  const secrets = await Secrets.open(join(stateDir, 'secrets'));
  const base: HostContext = {
    tiers,
    cacheDir,
    store,
    vmHost: {
      qemu,
      pagerLibrary: PAGER_LIBRARY,
      gateLibrary: GATE_LIBRARY,
      ...compact({ wantedAccelerator: options.accelerator }),
    },
    overlays: new OverlayTemplates(overlaysDir({ stateDir, hotDir })),
    sandboxes,
    networks: undo.use(
      new Networks({
        tiers,
        presets: options.networkPresets ?? {},
        dnsServers: options.dnsServers,
        secrets,
        trustFile: options.trustFile,
        isOffByDefault: options.networkDefault === 'off',
        emit,
      }),
    ),
    cgroups: new Cgroups(`bough-${shortHash(stateDir)}`),
    secrets,
    ...walls,
    admission: new Admission({ reserveBytes: options.memoryReserveBytes, makeRoom: () => makeRoom() }),
    emit,
  };
  const warmVmms = openWarmVmms(base, options);
  makeRoom = () => warmVmms?.giveBack() ?? Promise.resolve(false);
  const context = { ...base, ...compact({ warmVmms }) };
  await adoptSandboxes(context);
  await context.cgroups.removeEmpty().catch(() => undefined);
  undo.move();
  const hubKeysDir = options.hubKeysDir ?? join(stateDir, 'keys');
  const host = new LocalHost(context, { maxConcurrentBranches, hubKeysDir });
  makeDurableRoom = () => host.collect({ dryRun: false });
  host.start();
  return host;
}

/** In namespaces of its own a VMM sees no file that was not there when it started. */
function openWarmVmms(context: HostContext, { warmVmms = 0 }: HostOptions): WarmVmms | undefined {
  return warmVmms === 0 || context.namespaced === true ? undefined : new WarmVmms(context, warmVmms);
}
