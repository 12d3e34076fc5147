/**
 * Programs that fetch things, as Debian has them, in a guest behind the gate: curl, pip, npm, apt and git. What the presets open works; what the
 * policy does not open is refused, and the log says by what.
 *
 * The guest is of an image of its own, because the one that tests share has none of them; so this runs where it is named.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { after, before, describe, it } from 'node:test';
import {
  networkPolicySchema,
  type NetworkPolicyInput,
  type NetworkPreset,
  type NetworkRule,
} from '../../src/contract/index.js';
import type { ExecResult } from '../../src/agent/index.js';
import { loadConfig } from '../../src/daemon/config.js';
import { buildDefinition } from '../../src/image/index.js';
import { Authority } from '../../src/network/egress/authority.js';
import type { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';
import { NameServer } from '../support/name-server.js';
import { ORIGINS, ProgramOrigins, SAMPLE } from '../support/program-origins.js';
import { emptyFolders } from '../support/test-host.js';
import { limitMs } from '../support/time-limit.js';
import { TlsOrigin } from '../support/tls-origin.js';

const IMAGE = fileURLToPath(new URL('../../../test/programs/image.json', import.meta.url));
const TAG = 'programs';

const FETCH = {
  curl: 'curl --silent --show-error --fail http://index.example/simple/bough-sample/',
  pip: `pip install --retries 0 --disable-pip-version-check --break-system-packages --index-url http://index.example/simple \
    --trusted-host index.example ${SAMPLE} && python3 -c 'import bough_sample; print(bough_sample.version)'`,
  npm: `cd /root && npm install --fetch-retries=0 --no-update-notifier --registry http://registry.example ${SAMPLE} &&
    node -p 'require("${SAMPLE}").version'`,
  apt: `rm -f /etc/apt/sources.list.d/* && echo 'deb [trusted=yes] http://packages.example ./' > /etc/apt/sources.list &&
    apt-get -o Acquire::Retries=0 --error-on=any update && apt-get -o Acquire::Retries=0 install --yes ${SAMPLE} && cat /opt/${SAMPLE}`,
  git: `rm -rf /root/clone && git clone http://git.example/${SAMPLE}.git /root/clone && git -C /root/clone rev-parse HEAD`,
} as const;
/** What npm has in its cache it does not ask for. */
const LOOK_UP = `npm view --cache /tmp/none --fetch-retries=0 --registry http://registry.example ${SAMPLE}`;
type Program = keyof typeof FETCH;

const PRESETS: Record<NetworkPreset, NetworkRule[]> = {
  python: preset('index.example'),
  node: preset('registry.example'),
  debian: preset('packages.example'),
  github: preset('git.example'),
};

/** The name, and because that lies where no name may lead by itself, its address too. */
function preset(name: keyof typeof ORIGINS): NetworkRule[] {
  return [{ allow: name }, { allow: ORIGINS[name], ports: [80] }];
}

describe('programs in a sandbox with a network', { timeout: limitMs(900_000) }, () => {
  let dir = '';
  let lab: Lab;
  let names: NameServer;
  let origins: ProgramOrigins;
  let secure: TlsOrigin;
  let authority: Authority;
  let guest: Guest;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'bough-programs-'));
    authority = await Authority.open(join(dir, 'world.pem'));
    secure = await TlsOrigin.open(authority);
    origins = await ProgramOrigins.open();
    names = await NameServer.open({ ...ORIGINS, 'secure.example': '127.0.0.1' });
    const { cacheDir } = loadConfig({}, process.env);
    const { name } = await buildDefinition(cacheDir, IMAGE);
    const folders = await emptyFolders('programs');
    lab = await Lab.open('programs', { folders, dnsServers: [names.address], networkPresets: PRESETS });
    await lab.host.createSnapshot({ tag: TAG, image: name });
    guest = await lab.spawn(TAG, everyPreset());
  });
  after(async () => {
    await lab.close();
    names.close();
    await origins.close();
    await secure.close();
    await rm(dir, { recursive: true });
  });

  const everyPreset = (): NetworkPolicyInput => ({
    mode: 'list',
    rules: ['secure.example', '127.0.0.1'].map((allow) => ({ allow, ports: [secure.port] })),
    presets: ['python', 'node', 'debian', 'github'],
  });
  /** npm takes a minute to begin with, emulated. */
  const run = (script: string): Promise<ExecResult> =>
    lab.host.exec(guest.id, { args: ['sh', '-c', script], timeoutMs: limitMs(400_000) });
  /** Its output, the last line of which is what it was run for. */
  const fetched = async (program: Program): Promise<string | undefined> => {
    const { stdout, stderr, exitCode } = await run(FETCH[program]);
    assert.equal(exitCode, 0, `${program}: ${stdout}${stderr}`);
    return stdout.trim().split('\n').at(-1);
  };
  const failed = async (script: string): Promise<string> => {
    const { stdout, stderr, exitCode } = await run(script);
    assert.notEqual(exitCode, 0, script);
    return stdout + stderr;
  };
  const log = async (): Promise<Record<string, unknown>[]> =>
    (await text(await lab.host.networkLog(guest.id, { follow: false })))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const rulesOf = async (name: string, verdict: string): Promise<unknown[]> => [
    ...new Set(
      (await log())
        .filter((line) => line['name'] === name && line['verdict'] === verdict)
        .map((line) => line['rule']),
    ),
  ];

  it('curl fetches over HTTP and TLS', async () => {
    assert.match((await fetched('curl')) ?? '', /bough_sample-1\.0\.0/);
    await guest.exec(['tee', '/root/world.pem'], authority.pem);
    const url = `https://secure.example:${secure.port}/`;
    assert.equal(await guest.shell(`curl --silent --show-error --cacert /root/world.pem ${url}`), 'hello');
    assert.match(await failed(`curl --silent --show-error ${url}`), /certificate/);
  });

  it('pip installs from an index, npm from a registry, apt from a repository, git clones', async () => {
    assert.equal(await fetched('pip'), '1.0.0');
    assert.equal(await fetched('npm'), '1.0.0');
    assert.equal(await fetched('apt'), '1.0.0');
    assert.equal(await fetched('git'), origins.head);
    for (const name of Object.keys(ORIGINS))
      assert.deepEqual(await rulesOf(name, 'allowed'), [`allow ${name}`]);
  });

  it('what a narrower policy leaves out is refused to each, and the log says by which rule; the rest goes on', async () => {
    const before = structuredClone(origins.asked);
    const rules = [{ deny: 'git.example' }, { allow: 'packages.example', ports: [8080] }];
    await lab.host.setNetwork(
      guest.id,
      networkPolicySchema.parse({ mode: 'list', rules, presets: ['python'] }),
    );
    assert.match(await failed(FETCH.git), /Could not resolve host/);
    assert.match(await failed(LOOK_UP), /ENOTFOUND/);
    assert.match(await failed(FETCH.apt), /Could not connect to packages\.example:80.*Connection refused/s);
    assert.match(await failed('curl --silent --show-error http://10.0.2.2/'), /Failed to connect/);
    assert.match((await fetched('curl')) ?? '', /bough_sample-1\.0\.0/);
    for (const name of ['git.example', 'registry.example', 'packages.example'] as const)
      assert.deepEqual(origins.asked[name], before[name], name);
    assert.deepEqual(await rulesOf('git.example', 'refused'), ['deny git.example']);
    const whys = (await log())
      .filter(({ verdict }) => verdict === 'refused')
      .map(({ kind, name, address, why }) => [kind, name ?? address, why]);
    for (const wanted of [
      ['dns', 'git.example', 'the rule "deny git.example"'],
      ['dns', 'registry.example', 'no rule allows it, and the mode is list'],
      ['tcp', 'packages.example', 'no rule allows it, and the mode is list'],
      ['tcp', '127.0.0.1', "it is the host's own address, which no rule names"],
    ])
      assert(
        whys.some((why) => String(why) === String(wanted)),
        `${String(wanted)} not in ${JSON.stringify(whys)}`,
      );
  });
});
