/** What a Dockerfile says becomes an image; buildah's words come as they are, and what fails leaves nothing. */
import assert from 'node:assert/strict';
import { copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { execa } from 'execa';
import { DOCKERFILE_TOOLS, missingTools, missingWords } from '../../src/image/host-tools.js';
import { buildDockerfile, type BuildDockerfileOptions } from '../../src/image/index.js';
import { BUSYBOX, imageLab, onDisk, refused, skipImport, type ImageLab } from '../support/image-lab.js';
import { writeLayout } from '../support/oci-image.js';
import { startRegistry } from '../support/registry.js';

const missing = await missingTools(DOCKERFILE_TOOLS);
const skip = (await skipImport()) || (missing.length > 0 && missingWords(missing));

const DOCKERFILE = `FROM scratch
COPY busybox /bin/busybox
ARG COLOR=red
ENV COLOR=$COLOR
RUN ["/bin/busybox", "mkdir", "/made"]
USER 1000
WORKDIR /srv
EXPOSE 8000
HEALTHCHECK CMD ["/bin/busybox", "true"]
CMD ["/bin/busybox", "sleep", "60"]
`;

/** A folder with that Dockerfile and a program. */
async function contextWith(t: TestContext, dockerfile: string): Promise<ImageLab & { context: string }> {
  const lab = await imageLab(t);
  const context = join(lab.dir, 'context');
  await mkdir(context);
  await copyFile(BUSYBOX, join(context, 'busybox'));
  await writeFile(join(context, 'Dockerfile'), dockerfile);
  return { ...lab, context };
}

describe('buildDockerfile()', { skip, timeout: 240_000 }, () => {
  it('makes an image with what is said of its programs, and does no step twice', async (t) => {
    const { cacheDir, context } = await contextWith(t, DOCKERFILE);
    const lines: string[] = [];
    const options: BuildDockerfileOptions = {
      ...{ name: 'mine', context, buildArgs: { COLOR: 'green' }, onLine: (line) => lines.push(line) },
    };
    const image = await buildDockerfile(cacheDir, options);
    const { reference, defaults } = image.origin ?? {};
    assert.equal(reference, join(context, 'Dockerfile'));
    assert.deepEqual(defaults, {
      ...{ user: '1000', cwd: '/srv', command: ['/bin/busybox', 'sleep', '60'], ports: [8000] },
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', COLOR: 'green' },
      healthcheck: ['/bin/busybox', 'true'],
    });
    assert.match(await onDisk(image, 'stat /made'), /Type: directory/);
    assert(
      lines.some((line) => line.startsWith('STEP 5/10: RUN')),
      lines.join('\n'),
    );
    lines.length = 0;
    assert.equal((await buildDockerfile(cacheDir, options)).digest, image.digest);
    assert(
      lines.some((line) => line.includes('Using cache')),
      lines.join('\n'),
    );
    const left = (await readdir(join(cacheDir, 'dockerfile'))).filter((name) => name.startsWith('.tmp'));
    assert.deepEqual(left, []);
  });

  it('begins with an image of a registry on the loopback, whether its name stands in the Dockerfile or in an argument', async (t) => {
    const { dir, cacheDir, context } = await contextWith(t, '');
    const registry = await startRegistry();
    t.after(() => registry.close());
    const { stdout } = await execa('tar', ['-c', '-C', context, 'busybox'], { encoding: 'buffer' });
    await writeLayout(join(dir, 'layout'), { layers: [Buffer.from(stdout)] });
    const base = await registry.push(`oci:${join(dir, 'layout')}:latest`, 'base:1');
    await writeFile(join(context, 'Dockerfile'), `FROM ${base}\nCOPY busybox /second\n`);
    const image = await buildDockerfile(cacheDir, { name: 'mine', context });
    assert.match(await onDisk(image, 'stat /second'), /Type: regular/);
    await writeFile(join(context, 'Dockerfile'), 'ARG BASE\nFROM ${BASE}\nCOPY busybox /third\n');
    const again = await buildDockerfile(cacheDir, { name: 'mine', context, buildArgs: { BASE: base } });
    assert.match(await onDisk(again, 'stat /third'), /Type: regular/);
  });

  it('says once what a step that fails has said, and leaves no image', async (t) => {
    const failing =
      'FROM scratch\nCOPY busybox /busybox\nRUN ["/busybox", "sh", "-c", "echo no room >&2; exit 3"]\n';
    const { cacheDir, context } = await contextWith(t, failing);
    const lines: string[] = [];
    const onLine = (line: string): void => void lines.push(line);
    await refused(
      buildDockerfile(cacheDir, { name: 'mine', context, onLine }),
      cacheDir,
      /^Cannot build what .*Dockerfile says: buildah exited with \d+$/,
    );
    assert.match(lines.join('\n'), /\nno room\n[^]*exit status 3/);
    assert.equal(lines.filter((line) => line === 'no room').length, 1);
    const absent = buildDockerfile(cacheDir, { name: 'mine', context, dockerfile: '/absent' });
    await refused(absent, cacheDir, /there is no \/absent/);
  });
});
