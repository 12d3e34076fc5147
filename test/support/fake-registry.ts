/**
 * A registry on the loopback that serves one image of a layout, and does to its layer whatever a test wants. Speaks of the protocol what
 * skopeo asks for.
 */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

/** Answers a request for the layer, whose honest bytes are given. */
export type LayerAnswer = (response: ServerResponse, honest: Buffer) => void;

export interface FakeRegistry {
  /** `127.0.0.1:<port>/image:latest`. */
  readonly reference: string;
  /** From now on; undefined for the honest bytes. */
  layer: LayerAnswer | undefined;
  /** Asked first, of every request; true where that was the answer. */
  first: ((url: string, response: ServerResponse) => boolean) | undefined;
  /** Instead of the manifest. */
  manifest: Buffer | undefined;
  close(): Promise<void>;
}

interface Descriptor {
  readonly digest: string;
  readonly mediaType: string;
}

export async function fakeRegistry(layout: string): Promise<FakeRegistry> {
  const blob = (digest: string): Promise<Buffer> =>
    readFile(join(layout, 'blobs/sha256', digest.slice('sha256:'.length)));
  const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8')) as { manifests: [Descriptor] };
  const [listed] = index.manifests;
  const manifest = await blob(listed.digest);
  const { layers } = JSON.parse(manifest.toString('utf8')) as { layers: [Descriptor] };
  const answer = async ({ url = '' }: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (registry.first?.(url, response) === true) return;
    if (url === '/v2/') return void response.end('{}');
    if (url.includes('/manifests/')) {
      response.setHeader('content-type', listed.mediaType);
      return void response.end(registry.manifest ?? manifest);
    }
    const digest = url.split('/').at(-1) ?? '';
    const bytes = await blob(digest);
    if (digest === layers[0].digest && registry.layer) registry.layer(response, bytes);
    else response.end(bytes);
  };
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.writeHead(404).end());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const registry: FakeRegistry = {
    reference: `127.0.0.1:${(server.address() as AddressInfo).port}/image:latest`,
    ...{ layer: undefined, manifest: undefined, first: undefined },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return registry;
}
