import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { isBoughError, type Emit, type EventName } from '../../contract/index.js';
import { ConfigError, loadConfig } from '../config.js';
import { Keyring } from './keyring.js';
import { tokenCheck } from './token.js';
import { addToken, readTokensFile, removeToken } from './tokens-file.js';

describe('a keyring', () => {
  let dir = '';
  let path = '';
  let keyring: Keyring | undefined;
  before(async () => (dir = await mkdtemp(join(tmpdir(), 'bough-tokens-'))));
  after(() => rm(dir, { recursive: true }));
  afterEach(async () => {
    keyring?.close();
    await rm(path, { force: true });
  });

  const open = async (listen = '127.0.0.1:0'): Promise<Keyring> => {
    path = join(dir, 'tokens.json');
    keyring = await Keyring.open(loadConfig({ listen, stateDir: dir }, {}));
    return keyring;
  };
  /** The next event, after the daemon was told to look. */
  const afterLooking = async (told: EventName[]): Promise<EventName | undefined> => {
    const before = told.length;
    process.emit('SIGHUP');
    while (told.length === before) await delay(5);
    return told.at(-1);
  };

  it('knows whose a token is and what it may, in either form, and keeps no token', async () => {
    await open();
    const [ci, admin] = [await addToken(path, 'ci', 'exec'), await addToken(path, 'root', 'admin')];
    const { callerOf } = bound(await open());
    assert.match(ci, /^bough_[0-9a-f]{40}$/);
    assert.deepEqual([callerOf(ci)?.principal, callerOf(ci)?.scope], ['ci', 'exec']);
    assert.equal(callerOf(ci.replace('bough_', 'e2b_'))?.principal, 'ci');
    assert.equal(callerOf(admin)?.scope, 'admin');
    for (const wrong of ['', ci.slice(0, -1), `${ci}0`, ci.toUpperCase(), ci.replace('bough_', '')])
      assert.equal(callerOf(wrong), undefined, wrong);
    const text = await readFile(path, 'utf8');
    for (const token of [ci, admin]) assert.ok(!text.includes(token.slice('bough_'.length)));
    assert.equal((await stat(path)).mode & 0o777, 0o600);
  });

  it('has names that are one caller’s each, and none that means somebody else', async () => {
    await open();
    await addToken(path, 'ci', 'read');
    await assert.rejects(addToken(path, 'ci', 'admin'), /"ci" exists already/);
    await assert.rejects(addToken(path, 'anonymous', 'admin'), /No token can be named "anonymous"/);
    await assert.rejects(removeToken(path, 'nobody'), /No token is named "nobody"/);
    const made = await Promise.allSettled(['a', 'b', 'c'].map((name) => addToken(path, name, 'read')));
    const names = (await readTokensFile(path))?.map(({ name }) => name).slice(1);
    assert.equal(names?.length, made.filter(({ status }) => status === 'fulfilled').length);
  });

  it('follows the file, and lets in nobody more when it breaks or goes', async () => {
    const { callerOf, follow, isGuarded } = bound(await open());
    const told: EventName[] = [];
    follow(path, (name) => void told.push(name));
    assert.equal(isGuarded(), false);
    const token = await addToken(path, 'ci', 'read');
    assert.equal(await afterLooking(told), 'tokens.reloaded');
    assert.deepEqual([isGuarded(), callerOf(token)?.principal], [true, 'ci']);
    await writeFile(path, '{"version":1,"tokens":[{}]}');
    assert.equal(await afterLooking(told), 'tokens.not-reloaded');
    await rm(path);
    assert.equal(await afterLooking(told), 'tokens.not-reloaded');
    assert.deepEqual([isGuarded(), callerOf(token)?.principal], [true, 'ci']);
    const other = await addToken(path, 'other', 'read');
    assert.equal(await afterLooking(told), 'tokens.reloaded');
    assert.deepEqual([callerOf(token), callerOf(other)?.principal], [undefined, 'other']);
    await removeToken(path, 'other');
    assert.equal(await afterLooking(told), 'tokens.reloaded');
    assert.deepEqual([isGuarded(), callerOf(other)], [true, undefined]);
  });

  it('misses no change of the file between its first reading and being followed', async () => {
    const ring = await open();
    const token = await addToken(path, 'ci', 'read');
    const told: EventName[] = [];
    ring.follow(path, (name) => void told.push(name));
    while (told.length === 0) await delay(5);
    assert.deepEqual([told, ring.callerOf(token)?.principal], [['tokens.reloaded'], 'ci']);
  });

  it('tells the calls of a token when it may not call any more, or less', async () => {
    await open();
    const [one, other] = [await addToken(path, 'one', 'exec'), await addToken(path, 'other', 'exec')];
    const ring = await open();
    const told: EventName[] = [];
    ring.follow(path, (name) => void told.push(name));
    const revoked = [one, other].map((token) => ring.callerOf(token)?.revoked);
    const isRevoked = (): unknown[] => revoked.map((signal) => signal?.aborted);
    const rewritten = async (change: (text: string) => string): Promise<unknown[]> => {
      await writeFile(path, change(await readFile(path, 'utf8')));
      await afterLooking(told);
      return isRevoked();
    };
    assert.deepEqual(await rewritten((text) => text.replace(/"scope": ?"exec"/, '"scope":"admin"')), [
      false,
      false,
    ]);
    assert.equal(ring.callerOf(one)?.scope, 'admin');
    assert.deepEqual(await rewritten((text) => text.replace(/"scope": ?"exec"/, '"scope":"read"')), [
      false,
      true,
    ]);
    assert.equal(ring.callerOf(other)?.revoked.aborted, false, 'what begins after that goes on');
    await removeToken(path, 'one');
    await afterLooking(told);
    assert.deepEqual(isRevoked(), [true, true]);
    assert.ok(isBoughError(revoked[0]?.reason, 'token_revoked'));
  });

  it('is refused where it could not be used, or others could call without a token', async () => {
    await open();
    for (const [text, mode, problem] of [
      ['{"version":1,"tokens":[]}', 0o644, /its mode is 0644/],
      ['{"version":2,"tokens":[]}', 0o600, /version/],
      ['{', 0o600, /Cannot use the tokens file .*JSON/],
    ] as const) {
      await rm(path, { force: true });
      await writeFile(path, text, { mode });
      await assert.rejects(open(), (error) => error instanceof ConfigError && problem.test(error.message));
    }
    await rm(path);
    await assert.rejects(open('0.0.0.0:0'), /Refusing to listen on 0\.0\.0\.0 without a token/);
    await addToken(path, 'ci', 'exec');
    assert.equal((await open('0.0.0.0:0')).isGuarded, true);
  });

  it('has the one token of a file besides, which may do everything', () => {
    const one = 'k3jf8s7d6f5g4h3j2k1l0q9w8e7r6t5y';
    const { principal, scope } = new Keyring(tokenCheck(one), []).callerOf(one) ?? {};
    assert.deepEqual([principal, scope], ['token', 'admin']);
    assert.equal(new Keyring().isGuarded, false);
  });
});

function bound(keyring: Keyring) {
  return {
    callerOf: (token: string) => keyring.callerOf(token),
    follow: (path: string, emit: Emit) => keyring.follow(path, emit),
    isGuarded: () => keyring.isGuarded,
  };
}
