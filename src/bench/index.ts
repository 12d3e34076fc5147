/**
 * Runs benchmarks: a daemon to run them against, the snapshot they start from, and a way out that leaves nothing behind.
 *
 * Each file named after a promise measures that promise and returns a `Section`.
 */
import { fileURLToPath } from 'node:url';
import { monotonicMs, ResourceStack } from '../base/index.js';
import type { BoughEvent } from '../contract/index.js';
import { BoughApiError, type Bough } from '../sdk/index.js';
import { benchAftermath } from './aftermath.js';
import { benchBusyHost } from './busy-host.js';
import { benchChains } from './chains.js';
import { benchCheckpoints } from './checkpoints.js';
import { benchConsecutive } from './consecutive.js';
import { withSandbox, type BenchContext } from './context.js';
import { benchExec } from './exec.js';
import { benchExecLoad } from './exec-load.js';
import { benchExecOutput } from './exec-output.js';
import { benchHistory } from './history.js';
import { benchHub } from './hub.js';
import { benchImport } from './import.js';
import { checkWorthMeasuring, readHostFacts, watchHostLoad, type HostFacts } from './host-facts.js';
import { benchDiskWriter } from './disk-writer.js';
import { benchNetwork } from './network.js';
import { benchOwnClock } from './own-clock.js';
import { benchPause } from './pause.js';
import { pausePartsOf } from './pause-parts.js';
import type { PauseParts } from './pause-row.js';
import { benchPorts } from './ports.js';
import { benchRamSize } from './ram-size.js';
import { benchRandomWriter } from './random-writer.js';
import { missedAny, resultText, sectionCsv, writeReport, type BenchResult } from './report.js';
import { benchmarkNames, type BenchmarkName, type BenchOutcome, type BenchRequest } from './request.js';
import { benchRewriter } from './rewriter.js';
import { benchRollback } from './rollback.js';
import type { Section } from './section.js';
import { benchSeen } from './seen.js';
import { benchService } from './service.js';
import { benchSpawn } from './spawn.js';
import { benchStreams } from './streams.js';
import { benchTransfers } from './transfers.js';
import { benchWarmSpawn } from './warm-spawn.js';

/** Seen from dist/src/bench/. */
const REPORT_DIR = fileURLToPath(new URL('../../../bench/out/', import.meta.url));

const benchmarks: Record<BenchmarkName, (context: BenchContext, request: BenchRequest) => Promise<Section>> =
  {
    pause: benchPause,
    seen: benchSeen,
    consecutive: benchConsecutive,
    chains: benchChains,
    history: benchHistory,
    rollback: benchRollback,
    checkpoints: benchCheckpoints,
    aftermath: benchAftermath,
    'busy-host': benchBusyHost,
    'ram-size': benchRamSize,
    rewriter: benchRewriter,
    'disk-writer': benchDiskWriter,
    'random-writer': benchRandomWriter,
    spawn: benchSpawn,
    'warm-spawn': benchWarmSpawn,
    'own-clock': benchOwnClock,
    exec: benchExec,
    'exec-load': benchExecLoad,
    'exec-output': benchExecOutput,
    ports: benchPorts,
    network: benchNetwork,
    streams: benchStreams,
    transfers: benchTransfers,
    import: benchImport,
    hub: benchHub,
    service: benchService,
  };

const defaultIterations: Record<BenchmarkName, number> = {
  pause: 50,
  seen: 10,
  consecutive: 30,
  chains: 100,
  history: 20,
  rollback: 20,
  checkpoints: 120,
  aftermath: 20,
  'busy-host': 600,
  'ram-size': 20,
  rewriter: 20,
  'disk-writer': 20,
  'random-writer': 20,
  spawn: 10,
  'warm-spawn': 30,
  'own-clock': 10,
  exec: 100,
  'exec-load': 2000,
  'exec-output': 10,
  ports: 200,
  network: 10,
  streams: 1,
  transfers: 4,
  import: 3,
  hub: 5,
  service: 10,
};

/** Runs what is asked for; without a name everything, with a report in bench/out/. */
export async function runBench(request: BenchRequest): Promise<BenchOutcome> {
  const result = await measure(request);
  const isAll = request.benchmark === undefined;
  return {
    text: resultText(result),
    json: result,
    csv: isAll ? undefined : result.sections.map(sectionCsv).join(''),
    reportPath: isAll ? await writeReport(result, REPORT_DIR) : undefined,
    missed: missedAny(result),
  };
}

async function measure(request: BenchRequest): Promise<BenchResult> {
  const { signal, say } = request;
  await using resources = new ResourceStack();
  const loadSoFar = await watchHostLoad();
  const { client, daemonPid, pauseParts } = await reachDaemon(request, resources);
  await ensureSource(client, request, resources);
  const contextFor = (name: BenchmarkName): BenchContext => ({
    ...{ client, daemonPid, pauseParts, signal, say },
    ...{ cacheDir: request.cacheDir, qemuPath: request.qemuPath, accelerator: request.accelerator },
    sourceTag: request.sourceTag,
    image: request.image,
    iterations: request.iterations ?? defaultIterations[name],
    dirtyMiBPerSecond: request.dirtyMiBPerSecond,
  });
  const host = await factsOfSource(contextFor('pause'));
  checkWorthMeasuring(host);
  const sections: Section[] = [];
  for (const name of request.benchmark === undefined ? benchmarkNames : [request.benchmark]) {
    signal.throwIfAborted();
    const began = monotonicMs();
    sections.push(await benchmarks[name](contextFor(name), request));
    say(`${name}: done in ${Math.round((monotonicMs() - began) / 1000)} s`);
  }
  return { host, load: await loadSoFar(), sections };
}

async function reachDaemon(
  { daemon, startDaemon, signal, say }: BenchRequest,
  resources: ResourceStack,
): Promise<Pick<BenchContext, 'client' | 'daemonPid' | 'pauseParts'>> {
  const seen = new Map<string, PauseParts>();
  const pauseParts = (tag: string): PauseParts | undefined => seen.get(tag);
  if (daemon !== undefined) return { client: daemon, daemonPid: undefined, pauseParts };
  say('starting a daemon');
  const onEvent = (event: BoughEvent): void => {
    if (event.name === 'sandbox.pause-window') seen.set(event.facts.tag, pausePartsOf(event.facts));
  };
  const own = resources.use(await startDaemon({ signal, onEvent }));
  return { client: own.client, daemonPid: own.pid, pauseParts };
}

/** A snapshot that is made here is removed at the end, also from a daemon that was running already. */
async function ensureSource(
  client: Bough,
  { sourceTag, image, signal, say }: BenchRequest,
  resources: ResourceStack,
): Promise<void> {
  try {
    await client.snapshots.get(sourceTag, { signal });
  } catch (error) {
    if (!(error instanceof BoughApiError && error.code === 'snapshot_not_found')) throw error;
    say(`booting image ${image} for snapshot ${sourceTag}`);
    await client.snapshots.create({ tag: sourceTag, image }, { signal });
    resources.defer(() => client.snapshots.delete(sourceTag));
  }
}

/** Starts one sandbox to see what guests run under. */
async function factsOfSource(context: BenchContext): Promise<HostFacts> {
  const unknown = { accelerator: 'unknown', guestMemoryMiB: undefined };
  const facts = await readHostFacts(unknown, context.qemuPath);
  return withSandbox(context, context.sourceTag, ({ isolation, memory_mib: guestMemoryMiB }) =>
    Promise.resolve({ ...facts, accelerator: isolation?.accel ?? 'unknown', guestMemoryMiB }),
  );
}
