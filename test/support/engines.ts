/** Docker and Podman of a test's own: folders, sockets and storage apart from those of this host. Needs root, and their Debian packages. */
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { execa } from 'execa';
import { poll } from '../../src/bench/context.js';
import { BUSYBOX } from './image-lab.js';

const START_DEADLINE_MS = 60_000;
const POLL_MS = 100;

/** Builds of one program that is also the shell, since a `RUN` would want a container. */
const DOCKERFILE = `FROM scratch
COPY busybox /bin/busybox
COPY busybox /bin/sh
ENV COLOR=green
USER 1000
WORKDIR /srv
HEALTHCHECK CMD ["/bin/busybox", "true"]
CMD ["/bin/busybox", "sleep", "60"]
`;

/** Makes an image called `mine`, by `docker` or `podman`. */
export async function buildMine(engine: string, dir: string): Promise<void> {
  const context = join(dir, `context-${engine}`);
  await mkdir(context, { recursive: true });
  await copyFile(BUSYBOX, join(context, 'busybox'));
  await writeFile(join(context, 'Dockerfile'), DOCKERFILE);
  const format = engine === 'podman' ? ['--format', 'docker'] : [];
  await execa(engine, ['build', ...format, '--tag', 'mine', context], { env: { DOCKER_BUILDKIT: '0' } });
}

/** A Docker daemon in a network namespace; from then on it is the one that this process and its programs speak to. */
export async function startDocker(t: TestContext, dir: string): Promise<void> {
  const socket = `unix://${join(dir, 'docker.sock')}`;
  const flags = [
    ...['--data-root', join(dir, 'data'), '--exec-root', join(dir, 'exec'), '--pidfile', join(dir, 'pid')],
    ...['--host', socket, '--bridge=none', '--iptables=false', '--ip6tables=false'],
  ];
  const namespaces = ['--net', '--mount', '--propagation', 'private', '--'];
  const daemon = execa('unshare', [...namespaces, 'dockerd', ...flags], { reject: false, all: true });
  t.after(async () => {
    // It ends its containerd before itself.
    daemon.kill('SIGTERM');
    await daemon;
  });
  setFor(t, 'DOCKER_HOST', socket);
  const ended = daemon.then(({ all }) => {
    throw new Error(`dockerd does not run here: ${all}`);
  });
  ended.catch(() => undefined);
  const answers = poll(POLL_MS, START_DEADLINE_MS, new AbortController().signal, async () =>
    (await execa('docker', ['version'], { reject: false })).failed ? undefined : true,
  );
  await Promise.race([answers, ended]);
}

/** From then on Podman and skopeo keep what they have there. */
export async function ownPodman(t: TestContext, dir: string): Promise<void> {
  const path = join(dir, 'storage.conf');
  const roots = `runroot = "${join(dir, 'run')}"\ngraphroot = "${join(dir, 'storage')}"`;
  await writeFile(path, `[storage]\ndriver = "vfs"\n${roots}\n`);
  setFor(t, 'CONTAINERS_STORAGE_CONF', path);
}

/** A variable of this process, until the test has ended. */
export function setFor(t: TestContext, name: string, value: string): void {
  const before = process.env[name];
  process.env[name] = value;
  t.after(() => {
    if (before === undefined) Reflect.deleteProperty(process.env, name);
    else process.env[name] = before;
  });
}
