import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { CliDaemon } from '../../test/support/cli-daemon.js';
import { OutputClosed } from './exit.js';
import type { Io, SignalName } from './io.js';

describe('answers without end', () => {
  let daemon: CliDaemon;
  before(async () => {
    daemon = await CliDaemon.open();
  });
  after(() => daemon.close());

  it('network log is a line of each for people, and JSON a line for programs', async () => {
    const id = await daemon.spawn();
    assert.match(await daemon.printed('network', 'log', id), / {2}tcp /);
    assert.equal(await daemon.printed('network', 'log', id, '-o', 'json'), '{"kind":"tcp"}\n');
    assert.equal(await daemon.printed('network', 'log', id, '-o', 'yaml'), '---\nkind: tcp\n');
  });

  it('events ends at an interrupt with 128 + n, and quietly when nobody reads', async () => {
    const signals = new EventEmitter();
    const onSignal: Io['onSignal'] = (listener) => {
      const on = (name: SignalName): void => listener(name);
      signals.on('signal', on);
      return () => void signals.off('signal', on);
    };
    const following = daemon.run(['events'], { io: { onSignal } });
    while (signals.listenerCount('signal') === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    signals.emit('signal', 'SIGINT');
    assert.deepEqual(await following, { code: 130, stdout: '', stderr: '' });
    assert.equal(signals.listenerCount('signal'), 0);

    const id = await daemon.spawn();
    const write = (): Promise<never> => Promise.reject(new OutputClosed());
    const unread = await daemon.run(['network', 'log', id], { io: { write } });
    assert.deepEqual(unread, { code: 0, stdout: '', stderr: '' });
  });
});
