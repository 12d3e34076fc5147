/**
 * Tests from a warm state: a database is filled once, captured, and every test starts from that capture in a
 * sandbox of its own. No test has to clean up, and none can spoil another's data, whatever it does.
 *
 *   node examples/warm-tests.mjs [--tag <snapshot>]
 */
import { parseArgs } from 'node:util';
import { Bough } from 'bough';

const { values } = parseArgs({ options: { tag: { type: 'string', default: 'base' } } });
const bough = new Bough({
  url: process.env.BOUGH_URL ?? 'http://127.0.0.1:8889',
  token: process.env.BOUGH_TOKEN,
});

const FILL = `
import sqlite3
db = sqlite3.connect('/root/shop.db')
db.execute('create table orders (id integer primary key, total real)')
db.executemany('insert into orders (total) values (?)', [(i % 97,) for i in range(20000)])
db.commit()

def one(query):
    return db.execute(query).fetchone()[0]
`;

/** Each leaves True; what else it does to the database dies with its sandbox. */
const tests = {
  'all orders are there': "one('select count(*) from orders') == 20000",
  'orders can be deleted': "db.execute('delete from orders') and one('select count(*) from orders') == 0",
  'a total can be raised':
    "db.execute('update orders set total = total + 1') and one('select max(total) from orders') == 97",
  'the table can be dropped':
    "db.execute('drop table orders') and one('select count(*) from sqlite_master') == 0",
};

async function evaluate(id, code) {
  const { result, error } = await bough.sandboxes.eval(id, { code });
  if (error !== null) throw new Error(error);
  return result;
}

/** Fills the database in a sandbox that then ends; resolves with the tag of the capture. */
async function captureWarm() {
  const [source] = await bough.sandboxes.spawn({ snapshot_tag: values.tag });
  try {
    await evaluate(source.id, FILL);
    return (await bough.sandboxes.branch(source.id)).tag;
  } finally {
    await bough.sandboxes.delete(source.id);
  }
}

async function passes(warmTag, code) {
  const [sandbox] = await bough.sandboxes.spawn({ snapshot_tag: warmTag });
  try {
    return (await evaluate(sandbox.id, code)) === 'True';
  } finally {
    await bough.sandboxes.delete(sandbox.id);
  }
}

const warmTag = await captureWarm();
try {
  for (const [name, code] of Object.entries(tests)) {
    const passed = await passes(warmTag, code);
    console.log(`${passed ? 'ok    ' : 'FAILED'} ${name}`);
    if (!passed) process.exitCode = 1;
  }
} finally {
  await bough.snapshots.delete(warmTag);
}
