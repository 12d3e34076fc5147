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

const INSIDE = `
import sys
from bough import Bough, SandboxNotRunning

bough = Bough()
with bough.spawn(sys.argv[1], name="a.name", env={"GREETING": "hello"}) as sandbox:
    counted = bough.sandbox("a.name").processes.start("seq 400000; echo $GREETING >&2; exit 7")
    ended = counted.wait()
    assert ended["exit_code"] == 7, ended
    pieces = list(counted.output())
    [gap] = [each for each in pieces if each["type"] == "gap"]
    assert gap["bytes"] == ended["stdout_from"] > 0
    text = "".join(each["text"] for each in pieces if each["type"] in ("stdout", "stderr"))
    assert "\\n400000\\n" in text and "hello\\n" in text
    tail = counted.output(stdout_from=ended["stdout_to"] - 7, stderr_from=ended["stderr_to"])
    assert b"".join(each["data"] for each in tail if each["type"] == "stdout") == b"400000\\n"

    shell = sandbox.processes.start(["sh"], pty={"cols": 80, "rows": 24}, stdin=True)
    with shell.attach() as terminal:
        terminal.resize(101, 31)
        terminal.write("stty size; exit 3\\n")
        typed = list(terminal.output())
    assert "31 101" in "".join(each["text"] for each in typed if each["type"] == "pty"), typed
    assert typed[-1]["process"]["exit_code"] == 3

    for piece in sandbox.exec_stream(["sh", "-c", "echo begun; exec sleep 62"]):
        break
    for _ in range(100):
        if sandbox.exec(["sh", "-c", "grep -qs '[s]leep.62' /proc/[0-9]*/cmdline"])["exit_code"] != 0:
            break
    else:
        raise SystemExit("the program of a stream that was left runs on")

    assert sandbox.pause()["state"] == "paused"
    try:
        sandbox.ping()
        raise SystemExit("a paused guest answers")
    except SandboxNotRunning:
        pass
    sandbox.resume()
    assert sandbox.stats()["memory_unique_bytes"] > 0
    assert sandbox.network.get()["policy"]["mode"] == "none"
    events = sandbox.events("oldest")
told = [each["event"] for each in events]
assert told == ["created", "running", "paused", "running", "ended"], told
print("done")
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

  it('works inside a sandbox: processes, a terminal, streams, pauses, events', async () => {
    assert.equal(await python(INSIDE), 'done');
  });

  it('does so in asyncio, and ends what it gives up', async () => {
    assert.equal(await python(ASYNC_VERBS), 'done');
  });
});
