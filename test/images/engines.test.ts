/** What Docker and Podman have on this host runs in a sandbox; and what they do not have, or not now, is said. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { execa } from 'execa';
import { importImage } from '../../src/image/index.js';
import { buildMine, ownPodman, setFor, startDocker } from '../support/engines.js';
import { imageLab, refused } from '../support/image-lab.js';
import { Lab } from '../support/lab.js';
import { emptyFolders } from '../support/test-host.js';
import { limitMs } from '../support/time-limit.js';

/** A registry that nobody runs. */
const NOWHERE = '127.0.0.1:1/mine';

describe('images of Docker and Podman on this host', { timeout: limitMs(500_000) }, () => {
  let lab: Lab;
  let cacheDir: string;
  before(async () => {
    cacheDir = await mkdtemp(join(tmpdir(), 'bough-engines-'));
    const shared = await emptyFolders('engines');
    await symlink(join(shared.cacheDir, 'debs'), join(cacheDir, 'debs'));
    lab = await Lab.open('engines', { folders: { ...shared, cacheDir } });
  });
  afterEach(() => lab.clean());
  after(async () => {
    await lab.close();
    await rm(cacheDir, { recursive: true });
  });

  /** What that image says of its programs holds in a child of it. */
  async function runs(reference: string, name: string): Promise<void> {
    const image = await importImage(cacheDir, reference, { name });
    assert.deepEqual(image.origin?.defaults.healthcheck, ['/bin/busybox', 'true']);
    await lab.host.createSnapshot({ tag: name, image: name, memoryMiB: 256 });
    const child = await lab.spawn(name);
    assert.equal(await child.shell('echo $COLOR; busybox id -u; pwd'), 'green\n1000\n/srv');
  }

  it('Docker: one runs that was built there, by its name alone; others are missed', async (t) => {
    const { dir, cacheDir: unused } = await imageLab(t);
    await startDocker(t, dir);
    await buildMine('docker', dir);
    await runs('docker-daemon:mine', 'of-docker');
    const absent = importImage(unused, 'docker-daemon:absent:1');
    await refused(
      absent,
      unused,
      /^Cannot fetch docker-daemon:absent:1: docker exited with 1\n.*No such image/i,
    );
    await execa('docker', ['tag', 'mine', NOWHERE]);
    await assert.rejects(importImage(unused, NOWHERE), {
      message: /connection refused/,
      hint: `Docker on this host has an image of that name: \`bough image import docker-daemon:${NOWHERE}\``,
    });
    setFor(t, 'DOCKER_HOST', 'unix:///absent.sock');
    await refused(importImage(unused, 'docker-daemon:mine'), unused, /Is the docker daemon running\?/);
  });

  it('Podman: one runs that was built there, by its name alone; others are missed', async (t) => {
    const { dir, cacheDir: unused } = await imageLab(t);
    await ownPodman(t, dir);
    await buildMine('podman', dir);
    await runs('containers-storage:mine', 'of-podman');
    await assert.rejects(importImage(unused, 'containers-storage:absent'), {
      message: /^Cannot fetch containers-storage:absent: podman exited with 125\n.*not known/,
      hint: /^Podman keeps the images of each user apart/,
    });
    await execa('podman', ['tag', 'mine', NOWHERE]);
    await assert.rejects(importImage(unused, NOWHERE), {
      message: /connection refused/,
      hint: `Podman on this host has an image of that name: \`bough image import containers-storage:${NOWHERE}\``,
    });
  });
});
