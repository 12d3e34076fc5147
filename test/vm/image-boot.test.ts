/** Each image that comes with bough boots, is claimed, and has a warm interpreter. Skips without root or QEMU. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { execa } from 'execa';
import { ConnectionChannel } from '../../src/agent/channel.js';
import { FrameKind } from '../../src/agent/frames.js';
import { AgentClient, AgentRefused } from '../../src/agent/index.js';
import { compact, monotonicMs, withDeadline } from '../../src/base/index.js';
import { loadConfig } from '../../src/daemon/config.js';
import { buildImage, kernelCmdline, type Image } from '../../src/image/index.js';
import { DEFAULT_QEMU_PATH, hostForwardPort, probeQemu, Vmm } from '../../src/vmm/index.js';
import { TEST_QEMU_PATH } from '../support/test-host.js';

const QEMU_PATH = TEST_QEMU_PATH ?? DEFAULT_QEMU_PATH;
const skip = !existsSync(QEMU_PATH)
  ? 'QEMU is not installed'
  : process.getuid?.() !== 0
    ? 'building images needs root'
    : false;

const BOOT_MS = 120_000;

const WARM: Record<string, { code: string; result: string }> = {
  'python-numpy': { code: 'int(np.arange(10).sum())', result: '45' },
  nodejs: { code: '[1, 2, 3].map((n) => n * 2)', result: '[ 2, 4, 6 ]' },
};

for (const [name, { code, result }] of Object.entries(WARM)) {
  describe(`image ${name}`, { skip, timeout: 400_000 }, () => {
    let dir = '';
    let image: Image;
    let vmm: Vmm;
    let agent: AgentClient;
    let port: number;

    before(async () => {
      image = await buildImage(loadConfig({}, process.env).cacheDir, name);
      dir = await mkdtemp('/dev/shm/bough-boot-');
      vmm = await boot(image, dir);
      port = await hostForwardPort(vmm.qmp, image.agentPort);
      agent = new AgentClient({ host: '127.0.0.1', port });
    });
    after(async () => {
      await vmm.kill();
      await rm(dir, { recursive: true });
    });

    const output = async (...args: string[]): Promise<string> =>
      (await agent.exec({ args, timeoutMs: 30_000 })).stdout.trim();

    it('boots to a warm interpreter and is claimed once', async (t) => {
      const startMs = monotonicMs();
      await vmm.qmp.execute('cont');
      await agent.waitReady({ timeoutMs: BOOT_MS });
      const readyMs = monotonicMs() - startMs;
      await assert.rejects(agent.ping(), AgentRefused);
      const claimed = await agent.identify(identity('first'), { timeoutMs: BOOT_MS });
      assert.deepEqual(claimed, { hostname: 'first', restored: false, hook: null });
      await agent.waitWarm({ timeoutMs: BOOT_MS });
      t.diagnostic(
        `agent after ${Math.round(readyMs)} ms, warm after ${Math.round(monotonicMs() - startMs)} ms`,
      );
      assert.match(await readFile(join(dir, 'console'), 'utf8'), /^bough: init\r?$/m);
    });

    it('evaluates and runs programs', async () => {
      assert.equal((await agent.eval(code)).result, result);
      assert.equal(await output('sh', '-c', 'echo $HOME; ps -o comm= -p 1'), '/root\ninit');
      assert.match(await output('sh', '-c', 'cat /proc/net/route'), /^eth0\t00000000\t0202000A/m);
      assert.equal(
        await output('sh', '-c', 'cat /proc/$$/oom_score_adj /proc/$PPID/oom_score_adj'),
        '0\n-900',
      );
      assert.equal(await output('sh', '-c', 'cat /proc/sys/fs/protected_*'), '1\n1\n1\n1');
    });

    it('takes a new identity: names, clock, random numbers, secret', async () => {
      const before = await output('sh', '-c', 'cut -d. -f1 /proc/uptime');
      const bootedAt = BigInt(Date.now()) * 1_000_000n + 86_400_000_000_000n;
      const { restored } = await agent.identify({ ...identity('second'), unixTimeNs: bootedAt });
      assert.equal(restored, true);
      assert.equal(await output('sh', '-c', 'hostname; cat /etc/machine-id'), `second\n${'b'.repeat(32)}`);
      const aheadSeconds = Number(await output('date', '+%s')) - Date.now() / 1000;
      assert(Math.abs(aheadSeconds - 86_400) < 30, `${aheadSeconds} s ahead`);
      assert(Number(await output('sh', '-c', 'cut -d. -f1 /proc/uptime')) >= Number(before));
    });

    it('reaps orphans and powers off', async () => {
      await output('sh', '-c', '(sleep 0.1 &) ; exit 0');
      await output('sleep', '1');
      assert.equal(await output('sh', '-c', 'ps -eo stat= | grep -c Z || true'), '0');
      const channel = ConnectionChannel.open({ host: '127.0.0.1', port });
      const request = { op: 'shutdown', secret: identity('second').newSecret };
      await channel.send({ kind: FrameKind.request, payload: Buffer.from(JSON.stringify(request)) });
      assert.deepEqual(await withDeadline(vmm.exited, 30_000, 'powering off'), { code: 0, signal: null });
      channel.close();
    });
  });
}

function identity(hostname: string) {
  return {
    hostname,
    newSecret: `${hostname}-secret-of-the-guest`,
    machineId: 'b'.repeat(32),
    seed: Buffer.alloc(64, hostname),
    unixTimeNs: BigInt(Date.now()) * 1_000_000n,
  };
}

async function boot(image: Image, dir: string): Promise<Vmm> {
  const overlayPath = join(dir, 'overlay.qcow2');
  await execa('qemu-img', ['create', '-q', '-f', 'qcow2', overlayPath, String(image.rootfsBytes)]);
  return Vmm.start({
    qemuPath: QEMU_PATH,
    logPath: join(dir, 'log'),
    spec: {
      name: image.name,
      machineType: (await probeQemu(TEST_QEMU_PATH)).machineType,
      ...{ accelerator: 'tcg', cpuModel: 'max', vcpus: image.vcpus, memoryMiB: image.memoryMiB },
      boot: {
        kernelPath: image.kernelPath,
        cmdline: kernelCmdline('tcg', image),
        ...compact({ initrdPath: image.initrdPath }),
      },
      disk: [
        { path: image.rootfsPath, format: 'raw', readOnly: true },
        { path: overlayPath, format: 'qcow2', readOnly: false },
      ],
      network: { agentPort: image.agentPort },
      console: { filePath: join(dir, 'console') },
      qmpSocketPath: join(dir, 'qmp'),
      ...{ incoming: false, seccomp: true },
    },
  });
}
