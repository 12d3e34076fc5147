/**
 * Each image that comes with bough does what it is for: it is built, booted into a snapshot, and asked in a child.
 *
 * They take minutes and gigabytes to build, where they are not there already; so this runs where it is named.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { loadConfig } from '../../src/daemon/config.js';
import { buildImage } from '../../src/image/index.js';
import type { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';
import { emptyFolders } from '../support/test-host.js';
import { limitMs } from '../support/time-limit.js';

/** Emulated, a guest's programs take minutes to begin with. */
const DEADLINE_MS = limitMs(400_000);
const AGENT = 'agent';

const QUERY = 'runuser -u postgres -- psql -Atc';
const TITLE_SEEN = `curl -sS http://127.0.0.1:9222/json | grep -q '"title": "42"'`;
const NEW_PAGE = `curl -sS -X PUT 'http://127.0.0.1:9222/json/new?data:text/html,%3Cscript%3Edocument.title=6*7%3C/script%3E'`;

const PLOT = `import io
drawn = io.BytesIO()
frame = pd.DataFrame({'x': np.arange(100), 'y': np.arange(100) ** 2})
frame.plot(x='x', y='y', title='squares')
plt.savefig(drawn)
[matplotlib.get_backend().lower(), drawn.getvalue()[1:4].decode(), int(frame.y.sum())]`;

describe('the images that come with bough', { timeout: limitMs(2_900_000) }, () => {
  let lab: Lab;
  before(async () => {
    lab = await Lab.open('images', { folders: await emptyFolders('images') });
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  /** A child of a snapshot of it, with its service running if it has one. */
  async function childOf(image: string): Promise<Guest> {
    const { cacheDir } = loadConfig({}, process.env);
    const { service } = await buildImage(cacheDir, image);
    const started = service && { service: { start: true as const, readyTimeoutMs: DEADLINE_MS } };
    await lab.host.createSnapshot({ tag: image, image, ...started });
    return lab.spawn(image);
  }
  /** What a shell prints, run by somebody who is not root unless it is said. */
  async function said({ id }: Guest, script: string, user = AGENT): Promise<string> {
    const program = { args: ['sh', '-c', script], user, cwd: '/tmp', timeoutMs: DEADLINE_MS };
    const { stdout, stderr, exitCode } = await lab.host.exec(id, program);
    assert.equal(exitCode, 0, `${script}: ${stdout}${stderr}`);
    return stdout.trim();
  }
  /** The tools of an agent, for a user that root has made. */
  async function hasTools(guest: Guest): Promise<void> {
    await said(guest, `useradd --create-home --groups sudo ${AGENT}`, 'root');
    assert.equal(await said(guest, 'id -un; sudo -n id -un'), `${AGENT}\nroot`);
    assert.match(await said(guest, 'curl --version'), /^curl .*https/s);
    assert.match(await said(guest, 'grep -c BEGIN /etc/ssl/certs/ca-certificates.crt'), /^\d{2,}$/);
    const commit =
      'git init -q work && git -C work -c user.name=a -c user.email=a@b commit -q --allow-empty -m first';
    assert.match(await said(guest, `${commit} && git -C work log --oneline`), / first$/);
  }

  for (const image of ['python', 'python-numpy', 'code-interpreter']) {
    it(`${image}: Python and pip, and the tools of an agent`, async () => {
      const guest = await childOf(image);
      await hasTools(guest);
      assert.match(await said(guest, 'python3 --version'), /^Python 3\./);
      assert.match(await said(guest, 'pip --version'), /^pip \d/);
      assert.equal(
        await said(
          guest,
          'python3 -c "import ssl; print(ssl.create_default_context().cert_store_stats()[\'x509_ca\'] > 50)"',
        ),
        'True',
      );
      assert.match(await said(guest, 'python3 -m venv own && own/bin/pip --version'), /^pip .*own/);
      assert.equal(await guest.python('6 * 7'), '42');
    });
  }

  it('python-numpy: NumPy is imported', async () => {
    const guest = await childOf('python-numpy');
    assert.equal(await guest.python('int(np.arange(10).sum())'), '45');
  });

  it('code-interpreter: pandas and matplotlib are warm, and draw without a screen', async (t) => {
    const guest = await childOf('code-interpreter');
    const begunMs = performance.now();
    assert.equal(await guest.python(PLOT), "['agg', 'PNG', 328350]");
    t.diagnostic(`the first plot took ${Math.round(performance.now() - begunMs)} ms`);
    assert.equal(
      await guest.python('PIL.__name__, requests.__name__, bs4.__name__, openpyxl.__name__, sympy.__name__'),
      "('PIL', 'requests', 'bs4', 'openpyxl', 'sympy')",
    );
  });

  it('nodejs: node and npm, and the tools of an agent', async () => {
    const guest = await childOf('nodejs');
    await hasTools(guest);
    assert.equal(await said(guest, 'node -p "6 * 7"'), '42');
    assert.match(await said(guest, 'npm --version'), /^\d+\./);
    assert.equal(await guest.python('[1, 2].map((n) => n * 2)'), '[ 2, 4 ]');
  });

  it('postgres: answers in a child, and in a child of that one', async () => {
    const guest = await childOf('postgres');
    assert.equal(await said(guest, `${QUERY} 'select 1'`, 'root'), '1');
    await said(guest, `${QUERY} 'create table seen as select 42 as n'`, 'root');
    const grandchild = await lab.spawn(await lab.branch(guest));
    assert.equal(await said(grandchild, `${QUERY} 'select n from seen'`, 'root'), '42');
  });

  it('browser: opens a page and runs what is in it', async () => {
    const guest = await childOf('browser');
    assert.match(
      await said(guest, 'curl -sS http://127.0.0.1:9222/json/version', 'nobody'),
      /"Browser": ".*Chrom/,
    );
    await said(guest, NEW_PAGE, 'nobody');
    await said(guest, `until ${TITLE_SEEN}; do sleep 1; done`, 'nobody');
  });
});
