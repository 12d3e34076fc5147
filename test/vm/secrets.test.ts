import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { after, before, describe, it } from 'node:test';
import { networkPolicySchema, secretInputSchema, type NetworkPolicyInput } from '../../src/contract/index.js';
import { Authority } from '../../src/network/egress/authority.js';
import type { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';
import { NameServer } from '../support/name-server.js';
import { TEMPLATE_TAG } from '../support/test-host.js';
import { limitMs } from '../support/time-limit.js';
import { TlsOrigin } from '../support/tls-origin.js';

const VALUE = 'sesame-5b1f0c9d27e84a36';
/** What the guest does have: in its memory, and on its disk. */
const IN_MEMORY = 'known-to-the-guest-71c2';
const ON_DISK = 'written-by-the-guest-93d4';

/** Asks with a key of its own, which nobody takes, and keeps the answer in its memory. */
const ASK = `
import sys, urllib.request
request = urllib.request.Request(sys.argv[1] + sys.argv[2], headers={'Authorization': 'Bearer mine'})
print(urllib.request.urlopen(request, timeout=30).read().decode())
`;

/** Asks as programs do that bring a bundle of their own, which here has nobody in it. */
const ASK_INSIDE = `
import os, ssl, urllib.request
def ask(url):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bundle = os.environ.get('REQUESTS_CA_BUNDLE')
    if bundle: context.load_verify_locations(bundle)
    try: return urllib.request.urlopen(url, timeout=30, context=context).read().decode()
    except Exception as error: return repr(error)
`;

/** A service that asks once when it starts, and then for whoever asks it; says what it was started with. */
const SERVICE = `
import http.server, os, sys, urllib.request
def ask(path):
    return urllib.request.urlopen(sys.argv[1] + path, timeout=30).read()
ask('/boot')
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try: said = ask(self.path).decode()
        except Exception as error: said = repr(error)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f'{said} {os.environ.get("NODE_EXTRA_CA_CERTS")}'.encode())
http.server.HTTPServer(('127.0.0.1', 7000), Handler).serve_forever()
`;
const ASK_SERVICE = `
import sys, urllib.request
print(urllib.request.urlopen('http://127.0.0.1:7000' + sys.argv[1], timeout=60).read().decode())
`;

/** Which texts are in files below two folders. Of sparse files only what is there is read: their holes are gigabytes. */
const SEARCH = `
import json, os, sys
state, hot, secrets, template, *texts = sys.argv[1:]
found = set()
def search(fd, end):
    at = 0
    while at < end:
        try: at = os.lseek(fd, at, os.SEEK_DATA)
        except OSError: return
        stop = os.lseek(fd, at, os.SEEK_HOLE)
        last = b''
        while at < stop:
            chunk = os.pread(fd, min(1 << 22, stop - at), at)
            if not chunk: return
            found.update(text for text in texts if text.encode() in last + chunk)
            last, at = chunk[-256:], at + len(chunk)
for root in (state, hot):
    for folder, folders, names in os.walk(root):
        folders[:] = [each for each in folders if os.path.join(folder, each) != secrets and each != template]
        for path in (os.path.join(folder, name) for name in names):
            if os.path.islink(path) or not os.path.isfile(path) or path.endswith('/base.raw'): continue
            fd = os.open(path, os.O_RDONLY)
            search(fd, os.fstat(fd).st_size)
            os.close(fd)
print(json.dumps([text for text in texts if text in found]))
`;

describe('a secret of the host', { timeout: 400_000 }, () => {
  let folder = '';
  let lab: Lab;
  let names: NameServer;
  let origin: TlsOrigin;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bough-secrets-'));
    const authority = await Authority.open(join(folder, 'world.pem'));
    await writeFile(join(folder, 'trust.pem'), authority.pem);
    origin = await TlsOrigin.open(authority);
    names = await NameServer.open({ 'api.example': '127.0.0.1' });
    lab = await Lab.open('secrets', { dnsServers: [names.address], trustFile: join(folder, 'trust.pem') });
  });
  after(async () => {
    await lab.close();
    names.close();
    await origin.close();
    await rm(folder, { recursive: true });
  });

  const policy = (): NetworkPolicyInput => ({
    mode: 'list',
    rules: ['api.example', '127.0.0.1'].map((allow) => ({ allow, ports: [origin.port] })),
    secrets: ['key'],
  });
  const ask = async (guest: Guest, path: string): Promise<string> => {
    const url = `https://api.example:${origin.port}`;
    const { stdout, stderr } = await guest.exec(['python3', '-c', ASK, url, path]);
    return stdout.trim() || (stderr.trim().split('\n').at(-1) ?? '');
  };
  /** Of these texts, those that a file of the host has in it; the snapshot that sandboxes start from is older than all of them. */
  const found = async (...texts: string[]): Promise<string[]> => {
    const { stateDir, hotDir } = lab.folders;
    const where = [stateDir, hotDir, join(stateDir, 'secrets'), TEMPLATE_TAG];
    const { stdout } = await execa('python3', ['-c', SEARCH, ...where, ...texts]);
    return JSON.parse(stdout) as string[];
  };

  it('is in requests of a sandbox and its children, and nowhere in their memory, disks, records and logs', async () => {
    const { port } = origin;
    const secret = { value: VALUE, hosts: [`api.example:${port}`] };
    await assert.rejects(lab.spawn(TEMPLATE_TAG, policy()), { code: 'secret_not_found' });
    await lab.host.setSecret('key', secretInputSchema.parse(secret));
    const source = await lab.spawn(TEMPLATE_TAG, policy());
    assert.equal(await ask(source, '/one'), 'hello');
    await source.python(`keep = '${IN_MEMORY}'.encode() * 500`);
    await source.shell(`echo ${ON_DISK} > /root/kept; sync`);
    const child = await lab.spawn(await lab.branch(source));
    assert.equal(await ask(child, '/two'), 'hello');
    assert.deepEqual(
      origin.seen.map(({ path, headers }) => [path, headers['authorization']]),
      ['/one', '/two'].map((path) => [path, `Bearer ${VALUE}`]),
    );

    // Those that are there show that the search finds.
    assert.deepEqual(await found(IN_MEMORY, ON_DISK, VALUE), [IN_MEMORY, ON_DISK]);

    await lab.host.removeSecret('key');
    assert.match(await ask(child, '/three'), /HTTP Error 502/);
    assert.equal(origin.seen.length, 2);
    await lab.clean();
  });

  it('given to a sandbox that runs, is in requests of its interpreter', async () => {
    const { port } = origin;
    origin.seen.length = 0;
    const secret = { value: VALUE, hosts: [`api.example:${port}`] };
    await lab.host.setSecret('key', secretInputSchema.parse(secret));
    const { secrets, ...without } = policy();
    const source = await lab.spawn(TEMPLATE_TAG, without);
    await source.python(ASK_INSIDE);
    await source.python("keep = 'kept'; os.environ['OWN'] = 'own'");
    const askInside = () => source.python(`ask('https://api.example:${port}/inside')`);
    assert.match((await askInside()) ?? '', /CERTIFICATE_VERIFY_FAILED/);
    await lab.host.setNetwork(source.id, networkPolicySchema.parse({ ...without, secrets }));
    assert.equal(await askInside(), "'hello'");
    assert.deepEqual(
      origin.seen.map(({ headers }) => headers['authorization']),
      [`Bearer ${VALUE}`],
    );
    assert.equal(await source.python("(keep, os.environ['OWN'])"), "('kept', 'own')");
    await lab.clean();
  });

  it('is in requests of a service that was started with the template, and that of its children', async () => {
    const { port } = origin;
    origin.seen.length = 0;
    await lab.host.setSecret(
      'key',
      secretInputSchema.parse({ value: VALUE, hosts: [`api.example:${port}`] }),
    );
    const args = ['python3', '-c', SERVICE, `https://api.example:${port}`];
    await lab.host.createSnapshot({
      ...{ tag: 'served', image: 'python-numpy', network: networkPolicySchema.parse(policy()) },
      service: { start: args, ready: { kind: 'tcp', port: 7000 }, readyTimeoutMs: limitMs(120_000) },
    });
    const child = await lab.spawn('served');
    const { stdout, stderr } = await child.exec(['python3', '-c', ASK_SERVICE, '/child']);
    assert.equal(stdout.trim(), 'hello /etc/ssl/certs/ca-certificates.crt', stderr);
    assert.deepEqual(
      origin.seen.map(({ path, headers }) => [path, headers['authorization']]),
      ['/boot', '/child'].map((path) => [path, `Bearer ${VALUE}`]),
    );
    const ofInterpreter = await child.python("__import__('os').environ.get('SSL_CERT_FILE')");
    assert.equal(ofInterpreter, "'/etc/ssl/certs/ca-certificates.crt'");
    assert.deepEqual(await found(VALUE), []);
  });
});
