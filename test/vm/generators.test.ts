/** What two copies of one machine draw: each generator of the warm interpreters, by spawns and children. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import type { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';
import { TEMPLATE_TAG, testImage } from '../support/test-host.js';

const PYTHON = `import json, os, random, secrets, ssl, tempfile, uuid
json.dumps({
  'random': random.random(), 'np.random': np.random.random(), 'default_rng': np.random.default_rng().random(),
  'ssl': ssl.RAND_bytes(16).hex(), 'tempfile': next(tempfile._get_candidate_names()),
  'urandom': os.urandom(16).hex(), 'secrets': secrets.token_hex(), 'uuid1': str(uuid.uuid1()), 'uuid4': str(uuid.uuid4()),
})`;

const NODE = `{
  const crypto = require('crypto');
  const key = crypto.generateKeyPairSync('ed25519').publicKey.export({ format: 'der', type: 'spki' });
  JSON.stringify({
    'Math.random': Math.random(), ed25519: key.toString('hex'), randomBytes: crypto.randomBytes(16).toString('hex'),
    randomInt: crypto.randomInt(2 ** 47), randomUUID: crypto.randomUUID(),
    getRandomValues: crypto.webcrypto.getRandomValues(new Uint8Array(16)).join(),
  });
}`;

const ROUND = 'round';

describe('the generators of a warm interpreter', { timeout: 500_000 }, () => {
  let lab: Lab;
  before(async () => {
    await testImage('nodejs');
    lab = await Lab.open('generators');
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  const draw = async (guest: Guest, code: string): Promise<Record<string, unknown>> => {
    const text = (await guest.python(code)) ?? '';
    return JSON.parse(text.slice(1, -1)) as Record<string, unknown>;
  };

  /** Fails for each generator that gave the same twice. */
  const assertApart = (draws: Record<string, unknown>[]): void => {
    for (const name of Object.keys(draws[0] ?? {})) {
      const values = draws.map((each) => each[name]);
      assert.equal(new Set(values).size, values.length, `${name}: ${values.join(' ')}`);
    }
  };

  const apartBySpawn = async (tag: string, code: string): Promise<void> => {
    const [first, second] = [await lab.spawn(tag), await lab.spawn(tag)];
    const child = await lab.spawn(await lab.branch(first, { tag: `${ROUND}-unused` }));
    assertApart([await draw(first, code), await draw(second, code), await draw(child, code)]);
  };

  it('are apart in spawns and children of a Python template', () => apartBySpawn(TEMPLATE_TAG, PYTHON));

  it('are apart in children of a Python that has drawn from all of them', async () => {
    const source = await lab.spawn();
    const draws = [await draw(source, PYTHON)];
    const tag = await lab.branch(source);
    for (const guest of [source, await lab.spawn(tag), await lab.spawn(tag)])
      draws.push(await draw(guest, PYTHON));
    assertApart(draws);
  });

  it('are apart in spawns and children of a Node.js template', async () => {
    await lab.host.createSnapshot({ tag: 'nodejs', image: 'nodejs' });
    await apartBySpawn('nodejs', NODE);
  });
});
