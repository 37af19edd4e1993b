"""How long one answer takes: in process, by the command line from a cold start, through `serve`, through Ollama.

    python benchmarks/answer.py GGUF          # OLLAMA_HOST: a real Ollama, measured too
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import urlsplit

from common import figure, finish, in_turns, seconds
from infer import NAME, in_ollama, served

from drivecoach import Coach
from drivecoach.domains.driving import DRIVING

ASKED = 300
"""Answers of one run, one after the other."""


def over(url: str, model: str) -> Callable[[str], object]:
    """What asks a server over one connection, by the plainest client: a heavier one would count as the server's."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)

    def ask(line: str) -> object:
        body = json.dumps({"model": model, "prompt": line, "stream": False})
        connection.request("POST", "/api/generate", body, {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())["response"]

    return ask


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=Path)
    gguf = parser.parse_args().gguf
    states = random.Random(3).sample(list(DRIVING.inputs()), ASKED)
    lines = [DRIVING.write_input(state) for state in states]
    high: dict[str, list[float]] = {}

    def each(name: str, ask: Callable[[str], object]) -> Callable[[], float]:
        """The median of a run in milliseconds; the 95th percentile is kept aside."""

        def run() -> float:
            times = [1000 * seconds(lambda line=line: ask(line)) for line in lines]
            high.setdefault(name, []).append(quantiles(times, n=20)[-1])
            return median(times)

        return run

    def cold(code: list[str]) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, *code], check=True, stdout=subprocess.DEVNULL, env=environment)
        return 1000 * (time.perf_counter() - start)

    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    command = ["-c", "from drivecoach.cli import main; main()", "ask", lines[0], "--model", str(gguf), "--guard", "off"]
    host = os.environ.get("OLLAMA_HOST")
    with Coach(gguf) as coach, served(gguf) as url:
        ways = {
            "process": each("process", coach.ask),
            "serve": each("serve", over(url, "goDrive")),
            "cold": lambda: cold(command),
            "empty": lambda: cold(["-c", "pass"]),
        }
        for way in list(ways.values()):  # the first is slower everywhere
            way()
        if host:
            with in_ollama(gguf, host):
                ways["ollama"] = each("ollama", over(f"http://{host}", NAME))
                ways["ollama"]()
                high.clear()
                times = in_turns(ways)
        else:
            high.clear()
            times = in_turns(ways)
    adds = [over - alone for over, alone in zip(times["serve"], times["process"], strict=True)]
    unit = "ms"
    figures = [
        figure("Coach.ask in process, p50", times["process"], unit, bar=5, bar_is="at most", bar_on="value"),
        figure("Coach.ask in process, p95", high["process"], unit),
        figure("through serve, p50", times["serve"], unit),
        figure("through serve, p95", high["serve"], unit),
        figure("what serve adds to p50", adds, unit, bar=1.5, bar_is="at most", bar_on="value"),
        figure(
            "drivecoach ask, cold",
            times["cold"],
            unit,
            baseline="an empty Python process",
            against=times["empty"],
            bar=350,
            bar_is="at most",
            bar_on="value",
            less_is_better=True,
        ),
    ]
    if host:
        figures.append(figure("through Ollama, p50", times["ollama"], unit))
        figures.append(figure("through Ollama, p95", high["ollama"], unit))
    notes = [] if host else ["no Ollama was asked (OLLAMA_HOST names none)"]
    finish("One answer", figures, [*notes, f"{ASKED} different states a run, one after the other"])


if __name__ == "__main__":
    main()
