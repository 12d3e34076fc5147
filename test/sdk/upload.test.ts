/** What a program's own memory has to hold of what it sends as it comes. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { MiB } from '../../src/base/index.js';
import { Bough } from '../../src/sdk/index.js';

const PIECE_BYTES = 64 * 1024;
const SENT_MIB = 96;

describe('a large file that is written as it comes', { timeout: 60_000 }, () => {
  it('is not held by who sends it', async (t) => {
    let arrivedBytes = 0;
    const server = createServer((request, response) => {
      request.on('data', (piece: Buffer) => (arrivedBytes += piece.length));
      request.on('end', () => {
        response.writeHead(404, { 'content-type': 'application/json' });
        response.end('{"error":"It is taken, and not kept.","code":"file_not_found"}');
      });
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    t.after(() => server.close().closeAllConnections());
    const { port } = server.address() as AddressInfo;
    const heldBefore = process.memoryUsage().arrayBuffers;
    let held = 0;
    const pieces = async function* () {
      for (let at = 0; at < SENT_MIB * MiB; at += PIECE_BYTES) {
        yield await Promise.resolve(Buffer.alloc(PIECE_BYTES, 'x'));
        held = Math.max(held, process.memoryUsage().arrayBuffers - heldBefore);
      }
    };
    const bough = new Bough({ url: `http://127.0.0.1:${port}` });
    await assert.rejects(bough.sandbox('any').files.write('/large', pieces()), { code: 'file_not_found' });
    assert.equal(arrivedBytes, SENT_MIB * MiB);
    assert(held < (SENT_MIB * MiB) / 2, `${held} bytes were held`);
  });
});
