"""Best of N in Python: one sandbox prepares, N children go on from exactly there at the same time, the best is kept.

    pip install ./clients/python
    python3 examples/best_of_n.py [--tag <snapshot>] [--count <n>]

Here the expensive part is a set of points, and a way to go on is a line drawn through them by trial and error. With an agent it
would be the conversation so far, and a continuation each.
"""

from __future__ import annotations

import argparse
import asyncio

from bough import AsyncBough, AsyncSandbox

PREPARE = """
import random
random.seed(1)
points = [(x / 50, 3 * x / 50 + 1 + random.gauss(0, 0.1)) for x in range(50)]

def miss(a, b):
    return sum((a * x + b - y) ** 2 for x, y in points) / len(points)
"""

# A child has its source's random generator too: without a seed of its own each would draw the same line.
ATTEMPT = """
random.seed({seed})
line = (random.uniform(-5, 5), random.uniform(-5, 5))
for _ in range(300):
    tried = tuple(each + random.gauss(0, 0.3) for each in line)
    line = min(line, tried, key=lambda each: miss(*each))
"""


async def evaluate(sandbox: AsyncSandbox, code: str) -> str:
    """The value of an expression, as text."""
    answer = await sandbox.eval(code, timeout_secs=120)
    if answer["error"] is not None:
        raise RuntimeError(answer["error"])
    return answer["result"] or ""


async def attempt(child: AsyncSandbox, seed: int) -> float:
    """How far the line that this child draws is from the points."""
    await evaluate(child, ATTEMPT.format(seed=seed))
    return float(await evaluate(child, "miss(*line)"))


async def main(tag: str, count: int) -> None:
    """Prints how each attempt went, and the best line."""
    async with AsyncBough() as bough, await bough.spawn(tag) as source:
        await evaluate(source, PREPARE)
        fork = await source.fork(count)
        try:
            print(f"the source stood still for {fork.pause_ms:.2f} ms")
            misses = await asyncio.gather(*(attempt(child, seed) for seed, child in enumerate(fork.children)))
            ranked = sorted(zip(misses, range(count)))
            for rank, (missed_by, _) in enumerate(ranked, 1):
                print(f"{rank}. {missed_by:.4f}")
            best = fork.children[ranked[0][1]]
            a, b = (await evaluate(best, "'%.2f %.2f' % line")).strip("'").split()
            print(f"best: y = {a} x + {b}")
            # The best one could be branched again now; here all of them end.
        finally:
            for child in fork.children:
                await child.kill()
            await bough.snapshots.delete(fork.snapshot["tag"])


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--tag", default="base")
    options.add_argument("--count", type=int, default=3)
    given = options.parse_args()
    asyncio.run(main(given.tag, given.count))
