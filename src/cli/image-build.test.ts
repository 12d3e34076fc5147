import assert from 'node:assert/strict';
import { it } from 'node:test';
import { runInProcess } from '../../test/support/cli-in-process.js';
import { compact } from '../base/index.js';
import type { Providers } from './providers.js';

it('image build makes an image of a Dockerfile, and shows what the build prints', async () => {
  const asked: object[] = [];
  const buildDockerfile: Providers['buildDockerfile'] = (request) => {
    const { name, context, dockerfile, buildArgs, diskMiB } = request;
    asked.push(compact({ name, context, dockerfile, buildArgs, diskMiB }));
    request.onLine('STEP 1/1: FROM scratch');
    return Promise.resolve({ name, digest: 'sha256:0', rootfsBytes: 1, memoryMiB: 1, vcpus: 1 });
  };
  const built = (...args: string[]) =>
    runInProcess(['image', 'build', ...args], { providers: { buildDockerfile } });
  const ran = await built('-t', 'mine', '-f', 'other', '--build-arg', 'A=b', '--disk', '64', 'folder');
  assert.deepEqual(ran, { code: 0, stdout: 'mine\n', stderr: 'STEP 1/1: FROM scratch\n' });
  assert.equal((await built('-t', 'mine')).code, 0);
  assert.deepEqual(asked, [
    { name: 'mine', context: 'folder', dockerfile: 'other', buildArgs: { A: 'b' }, diskMiB: 64 },
    { name: 'mine', context: '.' },
  ]);
  for (const wrong of [[], ['-f', 'Dockerfile', '.'], ['--disk', '64', 'python']])
    assert.equal((await built(...wrong)).code, 2, wrong.join(' '));
});

it('image build makes an image of a definition that lies elsewhere', async () => {
  const asked: string[] = [];
  const buildDefinition: Providers['buildDefinition'] = ({ file }) => {
    asked.push(file);
    return Promise.resolve({ name: 'mine', digest: 'sha256:0', rootfsBytes: 1, memoryMiB: 1, vcpus: 1 });
  };
  const built = (...args: string[]) =>
    runInProcess(['image', 'build', ...args], { providers: { buildDefinition } });
  assert.deepEqual(await built('--definition', 'a.json'), { code: 0, stdout: 'mine\n', stderr: '' });
  for (const wrong of [['python'], ['--tag', 'x'], ['--disk', '64']])
    assert.equal((await built('--definition', 'a.json', ...wrong)).code, 2, wrong.join(' '));
  assert.deepEqual(asked, ['a.json']);
});
