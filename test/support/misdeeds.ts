/** What a registry can do instead of what it should. */
import { once } from 'node:events';
import { sleep } from '../../src/base/index.js';
import type { Misdeed } from './scripted-registry.js';

/** What lies at the address that it leads to. */
export const SECRET = 'of a network that only this machine reaches';

export type MisdeedName =
  | 'says nothing'
  | 'breaks off'
  | 'breaks off in the middle'
  | 'fails'
  | 'denies it'
  | 'lies'
  | 'leads to another address'
  | 'leads to itself'
  | 'sends without end';

const JSON_TYPE = { 'content-type': 'application/vnd.oci.image.manifest.v1+json' };
const PIECE_BYTES = 1 << 20;
/** Fast enough to be too much soon, and slow enough to leave the machine to others. */
const PIECE_EVERY_MS = 5;

/** `elsewhere` is the address that it leads to. */
export const misdeeds = (elsewhere: string): Record<MisdeedName, Misdeed> => ({
  'says nothing': () => undefined,
  'breaks off': (_request, response) => {
    response.destroy();
  },
  'breaks off in the middle': (_request, response, honest) => {
    response.writeHead(200, { ...JSON_TYPE, 'content-length': String(honest.length + 10) });
    response.write(honest.subarray(0, honest.length >> 1), () => response.destroy());
  },
  fails: (_request, response) => {
    response.writeHead(500).end(SECRET);
  },
  'denies it': (_request, response) => {
    response.writeHead(403).end('{"errors":[{"code":"DENIED"}]}');
  },
  lies: (_request, response, honest) => {
    response.writeHead(200, JSON_TYPE).end(bent(honest));
  },
  'leads to another address': (_request, response) => {
    response.writeHead(307, { location: elsewhere }).end();
  },
  'leads to itself': (request, response) => {
    response.writeHead(307, { location: request.url ?? '' }).end();
  },
  'sends without end': async (request, response) => {
    response.writeHead(200, JSON_TYPE);
    if (request.method === 'HEAD') return void response.end();
    const piece = Buffer.alloc(PIECE_BYTES, 'x');
    while (!response.destroyed) {
      if (!response.write(piece)) await Promise.race([once(response, 'drain'), once(response, 'close')]);
      await sleep(PIECE_EVERY_MS);
    }
  },
});

/** What names a blob names another; other bytes are changed in their midst. */
function bent(honest: Buffer): Buffer {
  const text = honest.toString('latin1');
  const other = text.replace(/"sha256:[0-9a-f]{8}/, '"sha256:00000000');
  if (other !== text) return Buffer.from(other, 'latin1');
  const bytes = Buffer.from(honest);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  return bytes;
}
