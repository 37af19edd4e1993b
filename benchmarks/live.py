"""Live coaching over HTTP: from a state sent to its decision read, ten states a second, one session and ten at once.

    python benchmarks/live.py GGUF [--seconds 20] [--sessions 1 10]

Each session drives through the shipped drives, a state ten times a second over its own connection, and reads its events
over another. A state that changes something is timed from its first byte sent to its event read: the answer is then
known, and so is whether it is said. The clients run on the same cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles

from common import Figure, figure, finish
from infer import served

DRIVES = Path(__file__).parents[1] / "datasets/drives"
STEP = 0.1
"""Seconds between two states of one session."""


@dataclass
class Timed:
    """What one session saw."""

    times: list[float] = field(default_factory=list)
    """Milliseconds from a state to its decision."""
    lost: int = 0
    """States that changed something and whose decision never came."""


def driven() -> list[str]:
    """The states of all drives, one after the other."""
    lines = [line for path in sorted(DRIVES.glob("*.jsonl")) for line in path.read_text("utf-8").splitlines()]
    return [json.loads(line)["state"] for line in lines]


async def session(port: int, name: str, states: list[str], seconds: float) -> Timed:
    """Drive for that long."""
    timed, sent = Timed(), dict[str, float]()
    events, out = await asyncio.open_connection("127.0.0.1", port)
    out.write(f"GET /live/{name}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    await events.readuntil(b"\r\n\r\n")  # who listens later does not hear of the first state

    async def read() -> None:
        while line := await events.readline():
            if line.startswith(b"data: "):
                state = json.loads(line[6:]).get("state")
                if (start := sent.pop(state, None)) is not None:
                    timed.times.append(1000 * (time.perf_counter() - start))

    reading = asyncio.create_task(read())
    answers, send = await asyncio.open_connection("127.0.0.1", port)
    began, before = time.perf_counter(), ""
    for number in range(round(seconds / STEP)):
        state = states[number % len(states)]
        await asyncio.sleep(max(0.0, began + number * STEP - time.perf_counter()))
        if state != before:
            sent[state] = time.perf_counter()
        before = state
        body = state.encode()
        head = f"POST /live/{name}/state HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n"
        send.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        status = await answers.readuntil(b"\r\n\r\n")
        length = next(line for line in status.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await answers.readexactly(int(length.partition(b":")[2]))
    await asyncio.sleep(1)
    timed.lost = len(sent)
    reading.cancel()
    for writer in (out, send):
        writer.close()
    return timed


async def together(port: int, states: list[str], sessions: int, seconds: float) -> list[Timed]:
    """That many sessions at once, each at another place of the drives and a little later."""

    async def one(number: int) -> Timed:
        await asyncio.sleep(STEP * number / sessions)
        place = len(states) * number // sessions
        return await session(port, f"car{sessions}-{number}", states[place:] + states[:place], seconds)

    return await asyncio.gather(*(one(number) for number in range(sessions)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=Path)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 10])
    asked = parser.parse_args()
    states = driven()
    figures: list[Figure] = []
    with served(asked.gguf) as url:
        port = int(url.rpartition(":")[2])
        asyncio.run(together(port, states, 2, 2))  # the first answers are slower everywhere
        for sessions in asked.sessions:
            found = asyncio.run(together(port, states, sessions, asked.seconds))
            high = quantiles([one for timed in found for one in timed.times], n=100)
            what = f"{sessions} session{'s' * (sessions > 1)}, state to decision"
            bar = {"bar": 20, "bar_is": "at most", "bar_on": "value"} if sessions == 10 else {}
            figures += [
                figure(f"{what}: p50", [high[49]], "ms"),
                figure(f"{what}: p95", [high[94]], "ms", **bar),  # type: ignore[arg-type]
                figure(f"{what}: p99", [high[98]], "ms"),
                figure(f"{what}: decisions that never came", [sum(timed.lost for timed in found)], "states"),
            ]
    finish("Live coaching", figures, [f"{asked.seconds:g} s each, 10 states a second and session, guard strict"])


if __name__ == "__main__":
    main()
