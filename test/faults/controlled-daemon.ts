/**
 * A daemon whose failpoints a test arms while it runs: `bough serve` with a line to its parent, started with
 * `fork`.
 *
 * It is loaded and waits until the parent says `{run}`; `{address}` tells that it listens. The parent says
 * `{arm}`, a text as `BOUGH_FAILPOINTS` takes it, or `{meet, count}`: the daemon then waits at that place,
 * says `{met}`, and goes on when the parent says `{go}`. `{list}` is answered with the places reached, `{measure}` with what the
 * daemon takes.
 */
import { readdir } from 'node:fs/promises';
import {
  armFailpoint,
  armFailpoints,
  Deferred,
  disarmFailpoints,
  firedFailpoints,
} from '../../src/base/index.js';
import type { SettingName } from '../../src/daemon/settings.js';
import { runDaemon } from '../../src/daemon/main.js';
import { openConfiguredHost as openHost } from '../../src/daemon/open-host.js';

/** What the parent says. */
export interface Order {
  readonly run?: { readonly flags: Partial<Record<SettingName, string>>; readonly failpoints: string };
  readonly arm?: string;
  readonly list?: boolean;
  readonly meet?: string;
  readonly count?: number;
  readonly go?: boolean;
  readonly measure?: boolean;
}

/** What the daemon takes, with its garbage collected. */
export interface DaemonUsage {
  readonly heapBytes: number;
  readonly residentBytes: number;
  readonly fds: number;
}

/** What the daemon says. */
export interface Answer {
  readonly address?: string;
  /** Places that are armed, or were until now, and reached; also says that the order has been followed. */
  readonly fired?: readonly string[];
  readonly met?: string;
  readonly usage?: DaemonUsage;
}

const told = new Deferred<NonNullable<Order['run']>>();
let leave = new Deferred<undefined>();
const say = (answer: Answer): void => void process.send?.(answer);

process.on('message', (order: Order) => {
  if (order.run !== undefined) told.resolve(order.run);
  if (order.arm !== undefined) {
    const fired = [...firedFailpoints()];
    disarmFailpoints();
    armFailpoints(order.arm);
    say({ fired });
  }
  if (order.meet !== undefined) {
    const place = order.meet;
    const meeting = async (): Promise<void> => {
      leave = new Deferred();
      say({ met: place });
      await leave.promise;
    };
    armFailpoint(place, meeting, order.count);
    say({ fired: [] });
  }
  if (order.list === true) say({ fired: [...firedFailpoints()] });
  if (order.go === true) leave.resolve(undefined);
  if (order.measure === true) void measure().then((usage) => say({ usage }));
});
process.once('disconnect', () => process.exit());

async function measure(): Promise<DaemonUsage> {
  globalThis.gc?.();
  const { heapUsed, rss } = process.memoryUsage();
  return { heapBytes: heapUsed, residentBytes: rss, fds: (await readdir('/proc/self/fd')).length };
}

const { flags, failpoints } = await told.promise;
const env = { ...process.env, BOUGH_FAILPOINTS: failpoints };
await runDaemon(flags, env, { openHost, onListening: ({ address }) => say({ address }) });
process.disconnect();
