import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { execa } from 'execa';
import { DaemonLab } from '../support/daemon-lab.js';
import { TEMPLATE_TAG } from '../support/test-host.js';

const PYTHON_DIR = join(import.meta.dirname, '../../../clients/python/src');
const DEADLINE_MS = 120_000;

const VERBS = `
import sys
import time
from bough import Bough, Controller, SandboxNotFound, AgentDeadline, TagExists

template = sys.argv[1]
bough = Bough()
with bough.spawn(template, name="source", timeout_secs=3600) as source:
    assert source.info()["state"] == "running" and source.ping()["pong"]
    assert source.eval("x = 6 * 7")["error"] is None
    ran = source.exec(["sh", "-c", "cat; printf 'a\\\\303\\\\377'; exit 9"], stdin="in é ", env={"A": "b"}, cwd="/")
    assert (ran["stdout"], ran["exit_code"]) == ("in é a\\ufffd\\ufffd", 9), ran

    early = Controller().branch_sandbox(source.id, mode="live", wait=False)
    assert early["status"] == "writing" and early["pause_ms"] > 0, early
    # Until then its source is being branched, and cannot be branched again.
    while bough.snapshots.get(early["tag"])["status"] == "writing":
        time.sleep(0.02)
    ready = source.branch("point", mode="live", wait=True, idempotency_key="point-1")
    assert ready["status"] == "ready" and ready["branched_from"] == source.id, ready
    assert source.branch("point", mode="live", wait=True, idempotency_key="point-1")["tag"] == "point"
    try:
        source.branch("point")
        raise SystemExit("a second snapshot of that name")
    except TagExists:
        pass

    for tag in (early["tag"], "point"):
        with bough.spawn(tag) as child:
            assert child.eval("x")["result"] == "42"
    fork = source.fork(2, tag="between")
    assert len(fork.children) == 2 and not fork.failures
    assert [child.eval("x")["result"] for child in fork.children] == ["42", "42"]
    for child in fork.children:
        child.kill()
    assert bough.snapshots.info("between")["ancestors"][0] == template

    try:
        source.exec(["sleep", "60"], 0.5)
        raise SystemExit("no deadline")
    except AgentDeadline as error:
        assert error.details["id"] == source.id
try:
    source.info()
    raise SystemExit("it is still there")
except SandboxNotFound:
    pass
for tag in ("between", "point", early["tag"]):
    bough.snapshots.delete(tag, force=True)
print("done")
`;

const ASYNC_VERBS = `
import asyncio
import sys
from bough import AsyncBough, BoughTimeout

async def main():
    async with AsyncBough() as bough, await bough.spawn(sys.argv[1]) as sandbox:
        await sandbox.eval("x = 1")
        numbers = await asyncio.gather(*(sandbox.exec(["echo", str(number)]) for number in range(8)))
        assert [int(each["stdout"]) for each in numbers] == list(range(8))
        try:
            await sandbox.exec(["sleep", "61"], give_up_secs=1)
            raise SystemExit("it was waited for")
        except BoughTimeout:
            pass
        for _ in range(200):
            if (await sandbox.exec(["sh", "-c", "grep -qs '[s]leep.61' /proc/[0-9]*/cmdline"]))["exit_code"] != 0:
                break
            await asyncio.sleep(0.05)
        else:
            raise SystemExit("the program of a call that was given up runs on")
    print("done")

asyncio.run(main())
`;

describe('the Python client, with a real daemon', { timeout: 300_000 }, () => {
  let lab: DaemonLab;
  before(async () => {
    lab = await DaemonLab.open('python');
  });
  afterEach(() => lab.clean());
  after(() => lab.close());

  const python = async (program: string): Promise<string> => {
    const env = { BOUGH_URL: lab.url, PYTHONPATH: PYTHON_DIR, PYTHONDONTWRITEBYTECODE: '1' };
    const { stdout } = await execa('python3', ['-c', program, TEMPLATE_TAG], { env, timeout: DEADLINE_MS });
    return stdout;
  };

  it('spawns, evaluates, runs, branches, forks, and raises what the daemon answers', async () => {
    assert.equal(await python(VERBS), 'done');
  });

  it('does so in asyncio, and ends what it gives up', async () => {
    assert.equal(await python(ASYNC_VERBS), 'done');
  });
});
