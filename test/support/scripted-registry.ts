/**
 * A registry on the loopback that keeps what it is sent, wants a token, and at one step of the protocol does what a test wants.
 *
 *     pull   ping, token, manifest, config, chunk, signature, signature blob
 *     push   ping, token, look (is it there?), begin, send, seal, publish
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const PULL_STEPS = [
  ...(['ping', 'token', 'manifest', 'config', 'chunk', 'signature', 'signature blob'] as const),
];
export const PUSH_STEPS = [...(['ping', 'token', 'look', 'begin', 'send', 'seal', 'publish'] as const)];
export type Step = (typeof PULL_STEPS)[number] | (typeof PUSH_STEPS)[number];

/** What it does instead of what it should, which to a GET is `honest`. */
export type Misdeed = (
  request: IncomingMessage,
  response: ServerResponse,
  honest: Buffer,
) => void | Promise<void>;

/** By digest, and by name. */
export interface Kept {
  readonly blobs: ReadonlyMap<string, Buffer>;
  readonly manifests: ReadonlyMap<string, Buffer>;
}

export interface ScriptedRegistry extends AsyncDisposable {
  /** `127.0.0.1:<port>`. */
  readonly address: string;
  readonly kept: Kept;
  /** Of one chunk alone where the step is `chunk`, so that the others arrive. */
  misdeed: { readonly step: Step; readonly act: Misdeed } | undefined;
  /** Digests of the layers that went out, or came in whole, since they were last taken; skopeo reads a config each time anew. */
  takeMoved(): string[];
}

interface Answer {
  readonly step: Step | 'another blob';
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body?: Buffer;
  /** When all of the request has come; false to refuse it. */
  readonly take?: (sent: Buffer) => boolean;
}

interface Wanted {
  readonly method: string;
  readonly url: URL;
  readonly hasToken: boolean;
}

const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const EMPTY = Buffer.alloc(0);

/** With what another one kept, if that is given. */
export async function scriptedRegistry(before?: Kept): Promise<ScriptedRegistry> {
  const shelf = new Shelf(before);
  const server = createServer((request, response) => {
    serve(request, response).catch(() => response.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const registry: ScriptedRegistry = {
    address,
    kept: shelf,
    misdeed: undefined,
    takeMoved: () => shelf.moved.splice(0),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = '', url = '', headers } = request;
    const hasToken = headers.authorization === 'Bearer open';
    const answer = answerTo({ method, url: new URL(url, 'http://registry'), hasToken }, shelf, address);
    const { misdeed } = registry;
    if (misdeed?.step === answer.step) {
      await misdeed.act(request, response, answer.body ?? EMPTY);
      return;
    }
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const isTaken = answer.take?.(Buffer.concat(pieces)) ?? true;
    response.writeHead(isTaken ? answer.status : 400, answer.headers).end(answer.body);
  };
  return registry;
}

class Shelf implements Kept {
  readonly blobs: Map<string, Buffer>;
  readonly manifests: Map<string, Buffer>;
  readonly moved: string[] = [];
  readonly #coming = new Map<string, Buffer>();
  #begun = 0;

  constructor(before?: Kept) {
    this.blobs = new Map(before?.blobs);
    this.manifests = new Map(before?.manifests);
  }

  begin(): string {
    return `upload${++this.#begun}`;
  }
  add(upload: string, bytes: Buffer): boolean {
    this.#coming.set(upload, Buffer.concat([this.#coming.get(upload) ?? EMPTY, bytes]));
    return true;
  }
  seal(upload: string, digest: string): boolean {
    const bytes = this.#coming.get(upload) ?? EMPTY;
    if (`sha256:${sha256(bytes)}` !== digest) return false;
    this.blobs.set(digest, bytes);
    this.moved.push(digest);
    return true;
  }
  publish(name: string, bytes: Buffer): boolean {
    if (namedIn(bytes).some((digest) => !this.blobs.has(digest))) return false;
    this.manifests.set(name, bytes);
    return true;
  }
  give(digest: string, isLayer: boolean): boolean {
    if (isLayer) this.moved.push(digest);
    return true;
  }

  /** What a blob is to the manifest that names it. */
  roleOf(digest: string): { readonly step: Answer['step']; readonly isLayer: boolean } {
    for (const [name, bytes] of this.manifests) {
      const at = namedIn(bytes).indexOf(digest);
      if (at === -1) continue;
      const isLayer = at > 0;
      if (name.endsWith('.sig')) return { step: isLayer ? 'signature blob' : 'another blob', isLayer };
      if (at < 2) return { step: isLayer ? 'chunk' : 'config', isLayer };
    }
    return { step: 'another blob', isLayer: true };
  }
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** The config first. */
function namedIn(manifest: Buffer): string[] {
  const { config, layers } = JSON.parse(manifest.toString()) as {
    config: { digest: string };
    layers: { digest: string }[];
  };
  return [config, ...layers].map(({ digest }) => digest);
}

function answerTo({ method, url, hasToken }: Wanted, shelf: Shelf, address: string): Answer {
  const { pathname, searchParams } = url;
  if (pathname === '/token') return { step: 'token', status: 200, body: Buffer.from('{"token":"open"}') };
  if (!hasToken) {
    const realm = `Bearer realm="http://${address}/token",service="here"`;
    return { step: 'ping', status: 401, headers: { 'www-authenticate': realm } };
  }
  const [, kind, last = ''] = /\/(manifests|blobs\/uploads|blobs)\/([^/]*)$/.exec(pathname) ?? [];
  switch (`${method} ${kind ?? ''}`) {
    case 'GET manifests':
      return manifest(last, shelf);
    case 'PUT manifests':
      return { step: 'publish', status: 201, take: (bytes) => shelf.publish(last, bytes) };
    case 'GET blobs':
      return blob(last, shelf);
    case 'HEAD blobs':
      return looked(shelf.blobs.get(last));
    case 'POST blobs/uploads':
      return { step: 'begin', status: 202, headers: { location: `${pathname}${shelf.begin()}` } };
    case 'PATCH blobs/uploads':
      return {
        ...{ step: 'send', status: 202, headers: { location: pathname } },
        take: (bytes) => shelf.add(last, bytes),
      };
    case 'PUT blobs/uploads':
      return { step: 'seal', status: 201, take: () => shelf.seal(last, searchParams.get('digest') ?? '') };
    default:
      return { step: 'ping', status: 200, body: Buffer.from('{}') };
  }
}

function manifest(name: string, { manifests }: Shelf): Answer {
  const step = name.endsWith('.sig') ? 'signature' : 'manifest';
  const body =
    manifests.get(name) ?? [...manifests.values()].find((each) => `sha256:${sha256(each)}` === name);
  if (body === undefined)
    return { step, status: 404, body: Buffer.from('{"errors":[{"code":"MANIFEST_UNKNOWN"}]}') };
  return { step, status: 200, headers: { 'content-type': MANIFEST_TYPE }, body };
}

function blob(digest: string, shelf: Shelf): Answer {
  const body = shelf.blobs.get(digest);
  const { step, isLayer } = shelf.roleOf(digest);
  if (body === undefined) return { step, status: 404 };
  return { step, status: 200, body, take: () => shelf.give(digest, isLayer) };
}

function looked(found: Buffer | undefined): Answer {
  if (found === undefined) return { step: 'look', status: 404 };
  return { step: 'look', status: 200, headers: { 'content-length': String(found.length) } };
}
