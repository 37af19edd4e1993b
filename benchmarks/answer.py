"""How long one answer takes: in process, by the command line from a cold start, through `serve`, through Ollama.

    python benchmarks/answer.py GGUF          # OLLAMA_HOST: a real Ollama, measured too
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles

import ollama
from common import figure, finish, in_turns, seconds
from infer import NAME, in_ollama, served

from drivecoach import Coach
from drivecoach.domains.driving import DRIVING

ASKED = 300
"""Answers of one run, one after the other."""


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
        subprocess.run([sys.executable, *code], check=True, stdout=subprocess.DEVNULL)
        return 1000 * (time.perf_counter() - start)

    command = ["-c", "from drivecoach.cli import main; main()", "ask", lines[0], "--model", str(gguf), "--guard", "off"]
    host = os.environ.get("OLLAMA_HOST")
    with Coach(gguf) as coach, served(gguf) as url:
        client = ollama.Client(host=url)
        ways = {
            "process": each("process", coach.ask),
            "serve": each("serve", lambda line: client.generate("goDrive", line)),
            "cold": lambda: cold(command),
            "empty": lambda: cold(["-c", "pass"]),
        }
        for way in list(ways.values()):  # the first is slower everywhere
            way()
        high.clear()
        if host:
            other = ollama.Client(host=host)
            with in_ollama(gguf, host):
                other.generate(NAME, lines[0])
                ways["ollama"] = each("ollama", lambda line: other.generate(NAME, line))
                times = in_turns(ways)
        else:
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
