/** In this runtime, the program that `npm run test:elsewhere` runs in others. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WebSocket } from 'ws';
import { Events } from '../../src/contract/index.js';
import { loadConfig } from '../../src/daemon/config.js';
import { serve } from '../../src/daemon/serve.js';
import { silent } from '../daemon/support.js';
import { fakeHost } from '../support/fake-host.js';
import { tellingHost } from '../support/telling-host.js';
import { EXPECTED, work } from './elsewhere-program.js';

describe('the program that runs in other runtimes', { timeout: 60_000 }, () => {
  it('gives in Node what it is to give everywhere', async (t) => {
    const events = new Events();
    const host = tellingHost(fakeHost(), events);
    const config = loadConfig({ listen: '127.0.0.1:0', stateDir: '/nowhere' }, {});
    const daemon = await serve(config, host, { log: silent, drainMs: 20, events });
    t.after(() => daemon.close());
    const webSocket = (url: string, headers: Readonly<Record<string, string>>): WebSocket =>
      new WebSocket(url, { headers });
    assert.deepEqual(await work({ url: daemon.address, webSocket }), EXPECTED);
  });
});
