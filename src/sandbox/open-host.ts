/**
 * Bringing a host up: probe QEMU, open the store (which takes the lock), adopt the sandboxes that are still alive.
 */
import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { errorCode, ResourceStack } from '../base/index.js';
import { openStore } from '../store/index.js';
import { probeQemu, Vmm } from '../vmm/index.js';
import type { HostContext, HostLog } from './context.js';
import type { Host } from './host.js';
import { LocalHost } from './local-host.js';
import { OverlayTemplates } from './overlays.js';
import { removeSandboxFolders, sandboxesDir, sandboxPaths } from './paths.js';
import { readRecord } from './record.js';
import { SandboxRegistry } from './registry.js';
import { Sandbox } from './sandbox.js';
import { connectPager } from './vm.js';

export interface HostOptions {
  readonly stateDir: string;
  readonly hotDir: string;
  readonly cacheDir: string;
  readonly maxConcurrentBranches: number;
  readonly log: HostLog;
}

/** Built beside the TypeScript: native/pager/build of the package this file is part of. */
const PAGER_LIBRARY = fileURLToPath(new URL('../../../native/pager/build/libpager.so', import.meta.url));

/** Throws QemuUnusable, or what the store says of its folders. */
export async function openHost(options: HostOptions): Promise<Host> {
  const { stateDir, hotDir, cacheDir, log, maxConcurrentBranches } = options;
  await using undo = new ResourceStack();
  const qemu = await probeQemu();
  const store = undo.use(await openStore({ stateDir, hotDir, log }));
  const context: HostContext = {
    tiers: { stateDir, hotDir },
    cacheDir,
    store,
    vmHost: { qemu, pagerLibrary: PAGER_LIBRARY },
    overlays: new OverlayTemplates(join(stateDir, 'overlays')),
    sandboxes: new SandboxRegistry(),
    log,
  };
  for (const id of await sandboxIds(context)) await adoptOrReap(context, id);
  undo.move();
  return new LocalHost(context, { maxConcurrentBranches });
}

async function sandboxIds({ tiers }: HostContext): Promise<string[]> {
  const found = new Set<string>();
  for (const root of [tiers.stateDir, tiers.hotDir]) {
    try {
      for (const name of await readdir(sandboxesDir(root))) found.add(name);
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
    }
  }
  return [...found];
}

/** Takes over a sandbox of an earlier daemon, or ends and removes what is left of it. */
async function adoptOrReap(context: HostContext, id: string): Promise<void> {
  const paths = sandboxPaths(context.tiers, id);
  const record = await readRecord(paths.record).catch((error: unknown) => {
    context.log('warn', 'sandbox.record-unreadable', { id, err: error });
    return undefined;
  });
  if (record?.process === undefined) {
    await removeSandboxFolders(paths);
    return;
  }
  const { pid, startTimeTicks, agentHostPort } = record.process;
  try {
    const vmm = await Vmm.adopt({
      name: id,
      pid,
      startTimeTicks,
      qmpSocketPath: paths.qmpSocket,
      logPath: paths.qemuLog,
    });
    const pager = await connectPager(paths);
    context.sandboxes.add(
      Sandbox.own(paths, record, { vmm, pager, agentHostPort }, context.vmHost.qemu.seccomp),
    );
    context.log('info', 'sandbox.adopted', { id, pid });
  } catch (error) {
    context.log('warn', 'sandbox.reaped', { id, pid, err: error });
    await Vmm.reap({ name: id, pid, startTimeTicks });
    await removeSandboxFolders(paths);
  }
}
