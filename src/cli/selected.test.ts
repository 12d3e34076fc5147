import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { CliDaemon } from '../../test/support/cli-daemon.js';

describe('selectors', () => {
  let daemon: CliDaemon;
  before(async () => {
    daemon = await CliDaemon.open();
  });
  after(() => daemon.close());

  it('choose what is listed, measured and ended, by metadata', async () => {
    const [a, b] = [await daemon.spawn('--metadata', 'job=a'), await daemon.spawn('--metadata', 'job=b')];
    assert.equal(await daemon.printed('ls', '-q', '-l', 'job=a'), `${a}\n`);
    assert.equal(await daemon.printed('stats', '-q', '--selector', 'job!=a'), `${b}\n`);
    assert.equal(await daemon.printed('rm', '--selector', 'job=a'), `${a}\n`);
    assert.equal(await daemon.printed('sandbox', 'rm', '-l', 'job'), `${b}\n`);
    assert.equal(daemon.host.sandboxes.size, 0);
  });

  it('are not mixed with names, and not left out by mistake', async () => {
    const id = await daemon.spawn();
    for (const args of [
      ['rm'],
      ['rm', id, '-l', 'a=b'],
      ['stats', id, '-l', 'a=b'],
      ['rm', '--snapshot'],
      ['rm', '--snapshot', '-l', 'a'],
      ['sandbox', 'rm'],
    ]) {
      const { code, stderr } = await daemon.run(args);
      assert.deepEqual(
        [code, stderr.split('\n').at(-2)],
        [2, 'hint: --help shows how it is used'],
        args.join(' '),
      );
    }
    assert(daemon.host.sandboxes.has(id));
    assert.equal((await daemon.run(['ls', '-l', 'a=b=c'])).code, 1);
  });

  it('pause and resume several, by names too, and go on after a failure', async () => {
    const id = await daemon.spawn('--name', 'still');
    assert.equal((await daemon.run(['pause', 'nowhere', 'still'])).code, 1);
    assert.equal(daemon.host.sandboxes.get(id)?.state, 'paused');
    assert.equal((await daemon.run(['sandbox', 'resume', id])).code, 0);
    assert.equal(daemon.host.sandboxes.get(id)?.state, 'running');
  });
});
