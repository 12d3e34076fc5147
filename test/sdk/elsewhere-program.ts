/**
 * What a program does with the built SDK, in any runtime: it imports the SDK and nothing else. The daemon is any, also one over a host without
 * VMs, whose programs print their arguments.
 *
 * Each step tells what came of it, or what it failed with; one does not keep the next from being tried.
 */
import { Bough, BoughApiError, type Sandbox, type TransportOptions } from '../../src/sdk/index.js';

/** What each step gave, by its name. */
export type Told = Readonly<Record<string, string>>;

interface Given {
  readonly bough: Bough;
  readonly sandbox: Sandbox;
}

const LARGE_BYTES = 200_000;

const steps: Readonly<Record<string, (given: Given) => Promise<string>>> = {
  async exec({ sandbox }) {
    const { stdout, exit_code: exitCode } = await sandbox.exec(['echo', 'héllo']);
    return `${words(stdout)} ${exitCode}`;
  },
  async 'a stream of a program'({ sandbox }) {
    let printed = '';
    for await (const piece of sandbox.execStream(['echo', 'one', 'two']))
      printed += piece.type === 'stdout' ? piece.text : ` ${piece.type}`;
    return words(printed);
  },
  async 'a kept process'({ sandbox }) {
    const cat = await sandbox.processes.start(['cat'], { stdin: true });
    await cat.write('fed', { eof: true });
    const { exit_code: exitCode } = await cat.wait();
    let printed = '';
    for await (const piece of cat.output()) if (piece.type === 'stdout') printed += piece.text;
    return `${printed.endsWith('fed') ? 'fed' : printed} ${exitCode ?? ''}`;
  },
  async 'a process over a WebSocket'({ sandbox }) {
    const cat = await sandbox.processes.start(['cat'], { stdin: true });
    await using attached = await cat.attach();
    attached.write('typed');
    attached.endInput();
    let printed = '';
    for await (const piece of attached) if (piece.type === 'stdout') printed += piece.text;
    return printed.endsWith('typed') ? 'typed' : printed;
  },
  async 'a file of bytes'({ sandbox }) {
    const bytes = Uint8Array.from({ length: LARGE_BYTES }, (_, at) => at % 251);
    await sandbox.files.write('/tmp/bytes', bytes);
    const back = await sandbox.files.read('/tmp/bytes');
    return String(back.length === bytes.length && back.every((byte, at) => byte === bytes[at]));
  },
  async 'a file of an iterable'({ sandbox }) {
    await sandbox.files.write('/tmp/pieces', pieces());
    return sandbox.files.readText('/tmp/pieces');
  },
  async 'an event'({ sandbox }) {
    const signal = AbortSignal.timeout(30_000);
    for await (const news of sandbox.events({ from: 'oldest' }, { signal }))
      if (news.event === 'created') return `${news.event} ${String(news.sandbox === sandbox.id)}`;
    return 'none';
  },
  async 'a wait that a signal ends'({ sandbox }) {
    const cat = await sandbox.processes.start(['cat'], { stdin: true });
    const error = await failure(cat.wait({ signal: AbortSignal.timeout(200) }));
    await cat.kill();
    return error;
  },
  async 'a WebSocket that a signal ends'({ sandbox }) {
    const cat = await sandbox.processes.start(['cat'], { stdin: true });
    const attached = await cat.attach({}, { signal: AbortSignal.timeout(200) });
    const error = await failure(all(attached));
    await cat.kill();
    return error;
  },
  async 'a stream that is left'({ sandbox }) {
    for await (const piece of sandbox.processes.startAttached(['echo', 'once'], {
      stdin: true,
      on_disconnect: 'kill',
    }))
      if (piece.type === 'stdout') return words(piece.text);
    return 'none';
  },
  async 'a port where nobody listens'({ sandbox }) {
    const answer = await sandbox.ports.fetch(1, '/');
    const { code } = (await answer.json()) as { readonly code: string };
    return `${answer.status} ${code}`;
  },
  'a refusal': ({ bough }) => failure(bough.sandbox('nobody').info()),
  async 'a page of a list'({ bough }) {
    await using other = await bough.spawn('base');
    const { items, next } = await bough.transport.page('listSandboxes', { query: { limit: 1 } });
    return `${items.length} ${String(next !== undefined)}${other.id === '' ? ' nameless' : ''}`;
  },
};

/** What is told where all of it works. */
export const EXPECTED: Told = {
  exec: 'héllo 0',
  'a stream of a program': 'one two end',
  'a kept process': 'fed 0',
  'a process over a WebSocket': 'typed',
  'a file of bytes': 'true',
  'a file of an iterable': 'in three pieces',
  'an event': 'created true',
  'a wait that a signal ends': 'TimeoutError',
  'a WebSocket that a signal ends': 'TimeoutError',
  'a stream that is left': 'once',
  'a port where nobody listens': '502 port_unreachable',
  'a refusal': 'sandbox_not_found',
  'a page of a list': '1 true',
  'after its block': 'sandbox_not_found',
};

/** What comes of all steps, in a sandbox that is gone afterwards, and of the last look for it. */
export async function work(options: TransportOptions): Promise<Told> {
  const bough = new Bough(options);
  const told: Record<string, string> = {};
  let id = '';
  {
    await using sandbox = await bough.spawn('base');
    id = sandbox.id;
    for (const [name, step] of Object.entries(steps))
      told[name] = await step({ bough, sandbox }).catch(failed);
  }
  told['after its block'] = await failure(bough.sandbox(id).info());
  return told;
}

/** A host without VMs has its programs print their own names, too. */
function words(printed: string): string {
  return printed
    .replace(/^echo /, '')
    .replace(/\s+/g, ' ')
    .trim();
}

async function* pieces(): AsyncGenerator<Uint8Array, void, undefined> {
  for (const word of ['in ', 'three ', 'pieces']) yield await Promise.resolve(new TextEncoder().encode(word));
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

/** The error that it fails with, in a word. */
async function failure(doing: Promise<unknown>): Promise<string> {
  return doing.then(
    () => 'no error',
    (error: unknown) => (error instanceof BoughApiError ? error.code : (error as Error).name),
  );
}

function failed(error: unknown): string {
  const { name, message, cause } = error as Error;
  return `${name}: ${message}${cause instanceof Error ? ` (${cause.message})` : ''}`;
}
