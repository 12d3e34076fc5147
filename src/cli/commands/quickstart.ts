/**
 * `bough quickstart`: the main job from nothing, step by step, on this machine.
 *
 * A snapshot that is there already will do, such as one that was pulled; without one it is made, and its image first. Everything
 * else it starts it ends again. The counter is a thread in the guest that notes the longest time between two of its beats: what the source itself felt of
 * being branched.
 */
import type { Command } from 'commander';
import { formatTable } from '../../base/table.js';
import type { Sandbox } from '../../contract/index.js';
import type { Bough } from '../../sdk/index.js';
import { tokenFor, type Context } from '../context.js';
import { daemonConfig } from '../daemon-config.js';
import { withExample } from '../example.js';
import { formatMs } from '../format.js';
import { untilInterrupted } from '../interrupt.js';
import { startOwnDaemon } from '../own-daemon.js';

const IMAGE = 'python-numpy';
const TAG = 'python-numpy';
const CHILDREN = 3;
const BEAT_MS = 10;

const START_COUNTER = `
import threading, time
class Pulse:
    beats = 0
    longest_gap_ms = 0.0
    def run(self):
        last = time.monotonic()
        while True:
            time.sleep(${BEAT_MS / 1000})
            now = time.monotonic()
            self.longest_gap_ms = max(self.longest_gap_ms, (now - last) * 1000)
            self.beats, last = self.beats + 1, now
pulse = Pulse()
threading.Thread(target=pulse.run, daemon=True).start()
`;
const READ_COUNTER = '[pulse.beats, round(pulse.longest_gap_ms, 1)]';
const RESET_GAP = 'pulse.longest_gap_ms = 0.0';

export function registerQuickstart(program: Command, context: Context): void {
  const command = program
    .command('quickstart')
    .description(
      'Build an image, run a sandbox, branch it live and start children: a tour with measurements.',
    );
  command.action(() => quickstart(command, context));
  withExample(command, 'bough quickstart');
}

interface ChildRow {
  readonly name: string;
  readonly x: string;
  readonly hostname: string;
  readonly machineId: string;
  readonly random: string;
  readonly firstAnswerMs: number | undefined;
}

async function quickstart(command: Command, context: Context): Promise<void> {
  const { io, providers } = context;
  const { cacheDir } = await daemonConfig({}, io.env);
  const onProgress = (words: string): void => io.stderr(`    ${words}\n`);
  const buildImage = (): Promise<unknown> => providers.buildImage({ name: IMAGE, cacheDir, onProgress });
  const token = await tokenFor(command, context);
  await untilInterrupted(async (signal) => {
    const nextStep = (words: string): void => {
      signal.throwIfAborted();
      io.stderr(`==> ${words}\n`);
    };
    nextStep('daemon');
    const daemon = await startOwnDaemon([], io.env, { token, signal });
    const { client } = daemon;
    const started: string[] = [];
    try {
      await makeTemplate(client, buildImage, nextStep, signal);
      await tour(context, client, nextStep, started);
    } finally {
      for (const id of started) await client.sandboxes.delete(id).catch(() => undefined);
      await daemon.stop();
    }
  });
}

async function makeTemplate(
  client: Bough,
  buildImage: () => Promise<unknown>,
  step: (words: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const known = await client.snapshots.list();
  if (known.some(({ tag, status }) => tag === TAG && status === 'ready')) {
    step(`snapshot ${TAG} (there already)`);
    return;
  }
  step(`image ${IMAGE}`);
  await buildImage();
  step(`snapshot ${TAG}: booting a guest, which takes some 15 s without hardware virtualization`);
  await client.snapshots.create({ tag: TAG, image: IMAGE }, { signal });
}

async function tour(
  { io }: Context,
  client: Bough,
  step: (words: string) => void,
  started: string[],
): Promise<void> {
  step('sandbox');
  const [spawned, spawnMs] = await timed(() => client.sandboxes.spawn({ snapshot_tag: TAG }));
  const source = onlyOne(spawned);
  started.push(source.id);
  await evaluate(client, source.id, 'x = 42');
  await evaluate(client, source.id, START_COUNTER);

  step('branch, while it runs');
  const before = await counter(client, source.id);
  await evaluate(client, source.id, RESET_GAP);
  const tag = `quickstart-${source.id.slice(0, 8)}`;
  const [snapshot, branchMs] = await timed(() => client.sandboxes.branch(source.id, { tag, mode: 'live' }));
  try {
    const after = await counter(client, source.id);
    const rows = [await describe(client, 'source', source.id, undefined)];
    for (let n = 1; n <= CHILDREN; n++) {
      step(`child ${n} of ${CHILDREN}, from the branch`);
      const begun = performance.now();
      const child = onlyOne(await client.sandboxes.spawn({ snapshot_tag: tag }));
      started.push(child.id);
      const x = await evaluate(client, child.id, 'x');
      rows.push(await describe(client, `child ${n}`, child.id, performance.now() - begun, x));
    }
    io.stdout(`\n${childTable(rows)}\n`);
    io.stdout(
      formatTable(
        [
          ['pause of the source', formatMs(snapshot.pause_ms)],
          ['branch, request to ready', formatMs(branchMs)],
          ['first sandbox, request to running', formatMs(spawnMs)],
          ['longest gap between beats in the source', `${after.longestGapMs} ms (a beat is ${BEAT_MS} ms)`],
          ['beats counted before and after', `${before.beats}, ${after.beats}`],
        ],
        [
          { title: 'WHAT', value: ([what]) => what },
          { title: 'MEASURED', value: ([, value]) => value, align: 'right' },
        ],
      ),
    );
    io.stderr(
      '\nThe sandboxes are gone again; the snapshot stays. Next: npx bough serve, and in another terminal\n',
    );
    io.stderr(`npx bough spawn --tag ${TAG}\n`);
  } finally {
    for (const id of started.splice(0)) await client.sandboxes.delete(id);
    await client.snapshots.delete(tag);
  }
}

function childTable(rows: readonly ChildRow[]): string {
  return formatTable(rows, [
    { title: 'GUEST', value: (row) => row.name },
    { title: 'X', value: (row) => row.x, align: 'right' },
    { title: 'HOSTNAME', value: (row) => row.hostname },
    { title: 'MACHINE-ID', value: (row) => row.machineId.slice(0, 12) },
    { title: 'RANDOM', value: (row) => row.random },
    { title: 'FIRST ANSWER', value: (row) => formatMs(row.firstAnswerMs), align: 'right' },
  ]);
}

async function describe(
  client: Bough,
  name: string,
  id: string,
  firstAnswerMs: number | undefined,
  x?: string,
): Promise<ChildRow> {
  const identity = await evaluate(
    client,
    id,
    "'|'.join([__import__('socket').gethostname(), open('/etc/machine-id').read().strip(), __import__('os').urandom(4).hex()])",
  );
  const [hostname = '', machineId = '', random = ''] = identity.replaceAll("'", '').split('|');
  return { name, x: x ?? (await evaluate(client, id, 'x')), hostname, machineId, random, firstAnswerMs };
}

async function counter(client: Bough, id: string): Promise<{ beats: number; longestGapMs: number }> {
  const [beats = 0, longestGapMs = 0] = JSON.parse(await evaluate(client, id, READ_COUNTER)) as number[];
  return { beats, longestGapMs };
}

/** The result as text, empty for a statement; throws when the guest's interpreter reports an error. */
async function evaluate(client: Bough, id: string, code: string): Promise<string> {
  const { result, error } = await client.sandboxes.eval(id, { code });
  if (error !== null) throw new Error(`The guest could not evaluate it: ${error}`);
  return result ?? '';
}

async function timed<T>(work: () => Promise<T>): Promise<[T, number]> {
  const begun = performance.now();
  const result = await work();
  return [result, performance.now() - begun];
}

function onlyOne(sandboxes: readonly Sandbox[]): Sandbox {
  const [sandbox] = sandboxes;
  if (sandbox === undefined) throw new Error('The daemon started no sandbox');
  return sandbox;
}
