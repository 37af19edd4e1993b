"""Judging every state of the driving domain without generating, beside generating the answers of some of them.

    python benchmarks/judge.py GGUF [--check 20000] [--runs 5]

All 292,352 states are judged once, against the clock. Then, in turns: judging and generating the same 2,000 states
drawn at random, the answers made by llama.cpp's server in this process with 16 requests at once. Last, the verdicts on
``--check`` states are compared with answers that were generated.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import RUNS, figure, finish, in_turns
from infer import old_way

from drivecoach.domains.driving import DRIVING
from drivecoach.domains.driving.state import VehicleState
from drivecoach.native.judge import Verdict, judge
from drivecoach.runtime.llamacpp import SLOTS, LlamaCpp

SAMPLE = 2000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=Path)
    parser.add_argument("--check", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=RUNS)
    asked = parser.parse_args()
    states = list(DRIVING.inputs())
    with LlamaCpp(asked.gguf) as runtime, old_way(asked.gguf) as server:

        def judged(some: Sequence[VehicleState]) -> list[Verdict]:
            rows = (
                (runtime.chat.prompt(DRIVING.write_input(state)), DRIVING.write_answer(DRIVING.teach(state)))
                for state in some
            )
            return list(judge(asked.gguf, rows, length=runtime.context, end=runtime.chat.end))

        def by_server(some: Sequence[VehicleState]) -> list[str]:
            prompts = [runtime.chat.prompt(DRIVING.write_input(state)) for state in some]
            with ThreadPoolExecutor(SLOTS) as pool:
                return [completion.text for completion in pool.map(server.complete, prompts)]

        start = time.perf_counter()
        verdicts = judged(states)
        minutes = (time.perf_counter() - start) / 60
        server.complete("x")  # the server is there before it is measured
        sample = random.Random(1).sample(states, SAMPLE)

        def rate(work: object) -> float:
            start = time.perf_counter()
            work(sample)  # type: ignore[operator]
            return SAMPLE / (time.perf_counter() - start)

        rates = in_turns({"judge": lambda: rate(judged), "server": lambda: rate(by_server)}, asked.runs)
        places = random.Random(2).sample(range(len(states)), min(asked.check, len(states)))
        texts = [runtime.generate(DRIVING.write_input(states[0])).text]  # the decoders are there
        texts = _generated(runtime, [states[at] for at in places])
    same = sum(
        (text == DRIVING.write_answer(DRIVING.teach(states[at]))) == verdicts[at].right
        for at, text in zip(places, texts, strict=True)
    )
    wrong = sum(not verdict.right for verdict in verdicts)
    finish(
        "Judging without generating",
        [
            figure(f"all {len(states):,} states judged", [minutes], "min", bar=8, bar_is="at most", bar_on="value"),
            figure("states drawn at random", rates["judge"], "states/s", baseline="generated", against=rates["server"]),
        ],
        [
            f"{wrong:,} of {len(states):,} states are answered wrong",
            f"{same:,} of {len(texts):,} verdicts are those of generating",
        ],
    )


def _generated(runtime: LlamaCpp, states: Sequence[VehicleState]) -> list[str]:
    found = runtime.generate_all([(DRIVING.write_input(state), (), True) for state in states])
    return [getattr(one, "text", "") for one in found]


if __name__ == "__main__":
    main()
