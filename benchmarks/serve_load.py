"""`drivecoach serve` under load: requests a second and waiting times at 1 to 256 clients, streamed and not.

    python benchmarks/serve_load.py GGUF [--seconds 60] [--clients 1 16 64 256] [--memory 20000]

Clients send their next request when the last is answered, over a connection that stays open (HTTP/1.1, written by hand
here, so that two cores are not spent on the client). Every answer must be the one that the same file gives in this
process. Then ``--memory`` requests more show whether the server's memory grows.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

from common import Figure, figure, finish

from drivecoach.domains.driving import DRIVING
from drivecoach.runtime.llamacpp import LlamaCpp

STATES = 2000


@dataclass
class Load:
    """What the clients saw."""

    times: list[float] = field(default_factory=list)
    """Milliseconds of each answer that was right."""
    lost: int = 0
    """Requests without an answer, or with another one."""
    seconds: float = 0.0


async def client(port: int, asks: list[tuple[bytes, str]], until: float, most: list[int], load: Load) -> None:
    """Ask until the time or the count that is left (one number, shared by all clients) is over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    draw = random.Random(id(reader))
    while time.perf_counter() < until and most[0] > 0:
        most[0] -= 1
        request, right = draw.choice(asks)
        start = time.perf_counter()
        writer.write(request)
        status = await reader.readuntil(b"\r\n\r\n")
        text = await body(reader, status)
        said = "".join(json.loads(line).get("response", "") for line in text.splitlines() if line)
        if said == right:
            load.times.append(1000 * (time.perf_counter() - start))
        else:
            load.lost += 1
    writer.close()


async def body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """The body that follows a head, by its length or in chunks."""
    if found := re.search(rb"content-length: (\d+)", head.lower()):
        return await reader.readexactly(int(found[1]))
    parts = []
    while size := int(await reader.readline(), 16):
        parts.append((await reader.readexactly(size + 2))[:-2])
    await reader.readline()
    return b"".join(parts)


async def run(port: int, asks: list[tuple[bytes, str]], clients: int, limit: float, most: int) -> Load:
    """That many clients at once, for ``limit`` seconds or ``most`` requests."""
    load, left = Load(), [most]
    start = time.perf_counter()
    await asyncio.gather(*(client(port, asks, start + limit, left, load) for _ in range(clients)))
    load.seconds = time.perf_counter() - start
    return load


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64, 256])
    parser.add_argument("--memory", type=int, default=20_000)
    asked = parser.parse_args()
    states = random.Random(4).sample(list(DRIVING.inputs()), STATES)
    lines = [DRIVING.write_input(state) for state in states]
    with LlamaCpp(asked.gguf) as runtime:
        right = [getattr(one, "text", "") for one in runtime.generate_all([(line, (), True) for line in lines])]
    requests = {
        stream: [(request(line, stream), answer) for line, answer in zip(lines, right, strict=True)]
        for stream in (False, True)
    }
    command = ["-c", "from drivecoach.cli import main; main()", "serve", str(asked.gguf), "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    server = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    figures: list[Figure] = []
    lost = 0
    try:
        assert server.stdout is not None  # noqa: S101
        port = int(server.stdout.readline().partition(" on ")[2].split()[0].rpartition(":")[2])
        asyncio.run(run(port, requests[False], 16, 3, 10**9))  # the model is loaded
        for stream in (False, True):
            kind = "streamed" if stream else "whole"
            for clients in asked.clients:
                load = asyncio.run(run(port, requests[stream], clients, asked.seconds, 10**9))
                lost += load.lost
                what = f"{clients} client{'s' * (clients > 1)}, {kind}"
                high = quantiles(load.times, n=100)
                figures += [
                    figure(f"{what}: answers", [len(load.times) / load.seconds], "/s"),
                    figure(f"{what}: p50", [median(load.times)], "ms"),
                    figure(f"{what}: p95", [high[94]], "ms"),
                    figure(f"{what}: p99", [high[98]], "ms"),
                ]
        before = memory(server.pid)
        load = asyncio.run(run(port, requests[False], 64, 10**6, asked.memory))
        after = memory(server.pid)
        lost += load.lost
    finally:
        server.terminate()
        server.wait()
    figures += [
        figure("requests lost or answered otherwise", [lost], "requests", bar=0, bar_is="at most", bar_on="value"),
        figure(
            f"the server's memory after {asked.memory:,} requests more",
            [after],
            "MiB",
            baseline="before them",
            against=[before],
            bar=1.05,
            bar_is="at most",
        ),
    ]
    finish("Serve under load", figures, [f"{asked.seconds:g} s each; the clients ran on the same cores"])


def request(line: str, stream: bool) -> bytes:
    """A whole HTTP request to /api/generate."""
    body = json.dumps({"model": "goDrive", "prompt": line, "stream": stream}).encode()
    head = "POST /api/generate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def memory(pid: int) -> float:
    """Resident memory of a process in MiB."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024  # type: ignore[index]


if __name__ == "__main__":
    main()
