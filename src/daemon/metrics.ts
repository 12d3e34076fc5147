/** What the daemon counts, as Prometheus text. One registry a server, so that tests do not share counts. */

import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { BoughEvent } from '../contract/index.js';
import type { HostGauges } from '../sandbox/host/host.js';
import type { RunningCalls } from './shell/calls.js';

const pauseBuckets = [0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
const requestBuckets = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export class Metrics {
  readonly #registry = new Registry();
  readonly #requests: Histogram<'method' | 'route' | 'status'>;
  readonly #calls: Counter<'route' | 'kind' | 'outcome'>;
  readonly #failures: Counter<'code'>;
  readonly #pause: Histogram<'mode'>;
  readonly #roundTrip: Histogram<'mode'>;

  /** `readGauges` is asked each time someone reads the metrics. */
  constructor(readGauges: () => HostGauges) {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry, prefix: 'bough_' });
    this.#requests = new Histogram({
      name: 'bough_http_request_duration_seconds',
      help: 'Time from a request to its answer',
      labelNames: ['method', 'route', 'status'],
      buckets: requestBuckets,
      registers,
    });
    this.#calls = new Counter({
      name: 'bough_calls_total',
      help: 'Requests by route, kind of route and how they ended: answered, left by their client, or stopped with the daemon',
      labelNames: ['route', 'kind', 'outcome'],
      registers,
    });
    this.#failures = new Counter({
      name: 'bough_failures_total',
      help: 'Failed calls by error code',
      labelNames: ['code'],
      registers,
    });
    this.#pause = new Histogram({
      name: 'bough_branch_pause_seconds',
      help: 'Pause window of branches: vCPUs stopped to vCPUs running',
      labelNames: ['mode'],
      buckets: pauseBuckets,
      registers,
    });
    this.#roundTrip = new Histogram({
      name: 'bough_branch_duration_seconds',
      help: 'Time until a branch is as far as it was asked for, at the end of a sandbox too',
      labelNames: ['mode'],
      buckets: requestBuckets,
      registers,
    });
    registerHostGauges(this.#registry, readGauges);
  }

  /** Counts what an event tells of; most tell of nothing that is counted. */
  observe(event: BoughEvent): void {
    switch (event.name) {
      case 'call.answered': {
        const { method, route, status, durationMs, kind, outcome } = event.facts;
        this.#calls.inc({ route, kind, outcome });
        // How long streams and sockets are open says nothing of how fast anything is.
        if (kind === 'stream' || kind === 'socket' || outcome === 'left') return;
        this.#requests.observe({ method, route, status: String(status) }, durationMs / 1000);
        return;
      }
      case 'call.failed':
        this.#failures.inc({ code: event.facts.code });
        return;
      case 'sandbox.branched': {
        const { mode, pauseMs, durationMs } = event.facts;
        if (pauseMs !== undefined) this.#pause.observe({ mode }, pauseMs / 1000);
        this.#roundTrip.observe({ mode }, durationMs / 1000);
      }
    }
  }

  /** From now on tells how many calls run. */
  watch(calls: Pick<RunningCalls, 'count'>): void {
    new Gauge({
      name: 'bough_calls_running',
      help: 'Calls that run by kind of route',
      labelNames: ['kind'],
      registers: [this.#registry],
      collect() {
        for (const kind of ['json', 'stream', 'socket'] as const) this.set({ kind }, calls.count(kind));
      },
    });
  }

  /** All of it in Prometheus' text format. */
  async text(): Promise<string> {
    return this.#registry.metrics();
  }
}

function registerHostGauges(registry: Registry, readGauges: () => HostGauges): void {
  const registers = [registry];
  new Gauge({
    name: 'bough_sandboxes',
    help: 'Sandboxes by state',
    labelNames: ['state'],
    registers,
    collect() {
      this.reset();
      for (const [state, count] of Object.entries(readGauges().sandboxes)) this.set({ state }, count);
    },
  });
  new Gauge({
    name: 'bough_snapshots',
    help: 'Snapshots by status',
    labelNames: ['status'],
    registers,
    collect() {
      this.reset();
      for (const [status, count] of Object.entries(readGauges().snapshots)) this.set({ status }, count);
    },
  });
  const single = (name: string, help: string, read: (gauges: HostGauges) => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read(readGauges()));
      },
    });
  single('bough_branches_in_flight', 'Branches that are being taken', (gauges) => gauges.branchesInFlight);
  single('bough_warm_vmms', 'VMMs that stand ready to become children', (gauges) => gauges.warmVmms);
  single('bough_hot_store_bytes', 'Bytes of memory layers in the hot store', (gauges) => gauges.hotBytes);
  single(
    'bough_durable_store_bytes',
    'Bytes of snapshots in the durable store',
    (gauges) => gauges.durableBytes,
  );
}
