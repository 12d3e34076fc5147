/** Whatever root does inside a guest: the agent answers, and a child becomes a machine of its own. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { sleep } from '../../src/base/index.js';
import type { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';

/** Reserves all of it but a MiB, which takes no time whatever the disk's size, and writes until nothing more fits. */
const FULL_DISK = [
  'fallocate -l $(($(stat -f -c "%a * %S" /) - (1 << 20))) /full',
  'dd if=/dev/zero of=/full2 bs=1k 2>/dev/null',
  'sync; ! echo x > /full3',
].join('; ');

/** What keeps files of /etc from being replaced. */
const OBSTACLES: Record<string, string> = {
  'a full disk': FULL_DISK,
  'a full /run': 'dd if=/dev/zero of=/run/full bs=64k 2>/dev/null; true',
  'a read-only root': 'mount -o remount,ro /',
  'something mounted over /etc/hosts': 'cp /etc/hosts /run/hosts && mount --bind /run/hosts /etc/hosts',
  'another name of the file': 'ln /etc/hosts /root/hosts',
  'an immutable file':
    "python3 -c \"import fcntl; fcntl.ioctl(open('/etc/hosts'), 0x40086602, (16).to_bytes(8, 'little'))\"",
};

describe('the agent of a guest', { timeout: 300_000 }, () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.open('agent-stays');
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  /** The guest's answer once its agent is there again. */
  const patiently = async (guest: Guest, script: string): Promise<string> => {
    for (let attempt = 0; attempt < 20; attempt++) {
      try {
        return await guest.shell(script);
      } catch {
        await sleep(500);
      }
    }
    return guest.shell(script);
  };

  it('knows its owner again after root has killed every process', async () => {
    const guest = await lab.spawn();
    await guest.exec(['sh', '-c', 'kill -9 -1']).catch(() => undefined);
    assert.equal(await patiently(guest, 'echo still here'), 'still here');
    assert.equal(await guest.python('6 * 7'), '42');
  });

  it('ends all a program started at its deadline, sessions of its own too', async () => {
    const guest = await lab.spawn();
    const args = ['sh', '-c', 'setsid sleep 4321 & wait'];
    await assert.rejects(lab.host.exec(guest.id, { args, timeoutMs: 1000 }));
    assert.equal(await guest.shell('pgrep -fx "sleep 4321" || true'), '');
  });

  for (const [name, script] of Object.entries(OBSTACLES)) {
    it(`makes a child its own in spite of ${name}`, async () => {
      const source = await lab.spawn();
      await source.shell("echo '10.9.8.7 database' >> /etc/hosts");
      await source.shell(script);
      const child = await lab.spawn(await lab.branch(source));
      const [ofSource, ofChild] = [await source.shell('hostname'), await child.shell('hostname')];
      assert.notEqual(ofChild, ofSource);
      const hosts = await child.shell('cat /etc/hosts');
      assert(hosts.includes('10.9.8.7 database'), hosts);
      assert(hosts.includes(`127.0.1.1 ${ofChild}`), hosts);
      await child.shell(`! grep -s '${ofChild}' /root/hosts`);
    });
  }
});
