/**
 * What programs fetch from, on the loopback of the host: an index for pip, a registry for npm, a repository for apt, one for git. What they
 * hand out is made here, so that it is known.
 *
 * Each has an address and port 80 of its own, so a policy for them reads as one for the world does. Not handled: signatures of apt.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join, normalize } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { Readable } from 'node:stream';
import { execa } from 'execa';

/** Under this name is in each origin what says its own version. */
export const SAMPLE = 'bough-sample';
const VERSION = '1.0.0';

/** The origins by their names, and where each listens. */
export const ORIGINS = {
  'index.example': '127.77.0.1',
  'registry.example': '127.77.0.2',
  'packages.example': '127.77.0.3',
  'git.example': '127.77.0.4',
} as const;
type Name = keyof typeof ORIGINS;
const PORT = 80;

type Serve = (request: IncomingMessage, response: ServerResponse) => void;

export class ProgramOrigins {
  /** What the clone of the repository has to come to. */
  readonly head: string;
  /** Paths that were asked for, by origin. */
  readonly asked: Record<Name, string[]> = {
    'index.example': [],
    'registry.example': [],
    'packages.example': [],
    'git.example': [],
  };
  readonly #servers: Server[] = [];
  readonly #root: string;

  private constructor(root: string, head: string) {
    this.#root = root;
    this.head = head;
  }

  static async open(): Promise<ProgramOrigins> {
    const root = await mkdtemp(join(tmpdir(), 'bough-origins-'));
    for (const name of Object.keys(ORIGINS)) await mkdir(join(root, name));
    await makeIndex(join(root, 'index.example'));
    await makeRegistry(join(root, 'registry.example'));
    await makeRepository(join(root, 'packages.example'));
    const origins = new ProgramOrigins(root, await makeGit(join(root, 'git.example')));
    for (const name of Object.keys(ORIGINS) as Name[]) await origins.#listen(name);
    return origins;
  }

  async #listen(name: Name): Promise<void> {
    const folder = join(this.#root, name);
    const serve: Serve = name === 'git.example' ? backend(folder) : files(folder);
    const server = createServer((request, response) => {
      this.asked[name].push(request.url ?? '');
      serve(request, response);
    });
    server.listen(PORT, ORIGINS[name]);
    await once(server, 'listening');
    this.#servers.push(server);
  }

  async close(): Promise<void> {
    for (const server of this.#servers) {
      server.closeAllConnections();
      server.close();
    }
    await rm(this.#root, { recursive: true });
  }
}

function files(folder: string): Serve {
  return (request, response) => {
    const asked = normalize(decodeURIComponent((request.url ?? '').split('?')[0] ?? ''));
    const path = join(folder, asked.endsWith('/') ? `${asked}index.html` : asked);
    void stat(path).then(
      ({ size }) => {
        response.setHeader('Content-Length', size);
        if (asked.endsWith('/')) response.setHeader('Content-Type', 'text/html');
        createReadStream(path).pipe(response);
      },
      () => void response.writeHead(404).end(),
    );
  };
}

/** git's own server, as CGI. */
function backend(folder: string): Serve {
  return (request, response) => {
    const [path = '', query = ''] = (request.url ?? '').split('?');
    const {
      'content-type': type = '',
      'git-protocol': protocol = '',
      'content-encoding': coding = '',
    } = request.headers as Record<string, string | undefined>;
    const git = spawn('git', ['http-backend'], {
      env: {
        ...{ PATH: process.env['PATH'], GIT_PROJECT_ROOT: folder, GIT_HTTP_EXPORT_ALL: '1', PATH_INFO: path },
        ...{ QUERY_STRING: query, REQUEST_METHOD: request.method, CONTENT_TYPE: type },
        ...{ GIT_PROTOCOL: protocol, HTTP_CONTENT_ENCODING: coding, REMOTE_ADDR: '127.0.0.1' },
      },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    request.pipe(git.stdin);
    git.stdin.on('error', () => undefined);
    void answerOf(git.stdout).then(({ status, headers, body }) => {
      response.writeHead(status, headers).end(body);
    });
  };
}

/** What a CGI program says: headers, one of which may be the status, and the body. */
async function answerOf(
  stdout: Readable,
): Promise<{ status: number; headers: Record<string, string>; body: Buffer }> {
  const said = await buffer(stdout);
  const end = said.indexOf('\r\n\r\n');
  const lines = said.toString('latin1', 0, end).split('\r\n');
  const headers = Object.fromEntries(lines.map((line) => line.split(': ', 2) as [string, string]));
  const { Status = '200', ...rest } = headers;
  return { status: Number(Status.split(' ')[0]), headers: rest, body: said.subarray(end + 4) };
}

/** A wheel and the page that lists it. */
async function makeIndex(folder: string): Promise<void> {
  const wheel = `bough_sample-${VERSION}-py3-none-any.whl`;
  const page = join(folder, 'simple', SAMPLE);
  await mkdir(page, { recursive: true });
  const info = `bough_sample-${VERSION}.dist-info`;
  const members = {
    'bough_sample.py': `version = '${VERSION}'\n`,
    [`${info}/METADATA`]: `Metadata-Version: 2.1\nName: ${SAMPLE}\nVersion: ${VERSION}\n`,
    [`${info}/WHEEL`]: 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
    [`${info}/RECORD`]: ['bough_sample.py', `${info}/METADATA`, `${info}/WHEEL`, `${info}/RECORD`]
      .map((name) => `${name},,\n`)
      .join(''),
  };
  const zip = `
import json, sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as wheel:
    for name, text in json.loads(sys.argv[2]).items(): wheel.writestr(name, text)`;
  await execa('python3', ['-c', zip, join(page, wheel), JSON.stringify(members)]);
  const hash = sha('sha256', await readFile(join(page, wheel))).toString('hex');
  await writeFile(join(page, 'index.html'), `<a href="${wheel}#sha256=${hash}">${wheel}</a>`);
}

/** A package, and the document that says where it is. */
async function makeRegistry(folder: string): Promise<void> {
  const manifest = { name: SAMPLE, version: VERSION, main: 'index.js' };
  await mkdir(join(folder, 'package'));
  await writeFile(join(folder, 'package', 'package.json'), JSON.stringify(manifest));
  await writeFile(join(folder, 'package', 'index.js'), `exports.version = '${VERSION}';\n`);
  const tarball = join(folder, `${SAMPLE}.tgz`);
  await execa('tar', ['-czf', tarball, '-C', folder, 'package']);
  const bytes = await readFile(tarball);
  const dist = {
    tarball: `http://registry.example/${SAMPLE}.tgz`,
    shasum: sha('sha1', bytes).toString('hex'),
    integrity: `sha512-${sha('sha512', bytes).toString('base64')}`,
  };
  const versions = { [VERSION]: { ...manifest, dist } };
  const document = { name: SAMPLE, 'dist-tags': { latest: VERSION }, versions };
  await writeFile(join(folder, SAMPLE), JSON.stringify(document));
}

/** A package of Debian's form, and the list of it. */
async function makeRepository(folder: string): Promise<void> {
  const control = `Package: ${SAMPLE}\nVersion: ${VERSION}\nArchitecture: all\nMaintainer: nobody\nDescription: a sample\n`;
  const tree = join(folder, 'tree');
  await mkdir(join(tree, 'DEBIAN'), { recursive: true });
  await mkdir(join(tree, 'opt'));
  await writeFile(join(tree, 'DEBIAN', 'control'), control);
  await writeFile(join(tree, 'opt', SAMPLE), `${VERSION}\n`);
  const name = `${SAMPLE}_${VERSION}_all.deb`;
  const path = join(folder, name);
  await execa('dpkg-deb', ['--root-owner-group', '--build', tree, path]);
  const bytes = await readFile(path);
  const where = `Filename: ./${name}\nSize: ${bytes.length}\nSHA256: ${sha('sha256', bytes).toString('hex')}\n`;
  await writeFile(join(folder, 'Packages'), `${control}${where}`);
}

/** A repository with some history; its newest commit. */
async function makeGit(folder: string): Promise<string> {
  const work = join(folder, 'work');
  const git = async (...args: string[]): Promise<string> => {
    const who = ['-c', 'user.name=Test', '-c', 'user.email=test@example'];
    return (await execa('git', ['-C', work, ...who, ...args])).stdout;
  };
  await execa('git', ['init', '--quiet', '--initial-branch=main', work]);
  for (const round of ['one', 'two']) {
    await writeFile(join(work, 'README'), `${round}\n`);
    await git('add', '.');
    await git('commit', '--quiet', '-m', round);
  }
  await execa('git', ['clone', '--quiet', '--bare', work, join(folder, `${SAMPLE}.git`)]);
  return git('rev-parse', 'HEAD');
}

function sha(algorithm: string, bytes: Buffer): Buffer {
  return createHash(algorithm).update(bytes).digest();
}
