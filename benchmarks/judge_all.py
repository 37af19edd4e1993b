"""Judging every state of the driving domain without generating, against generating the answers of some of them.

    python benchmarks/judge_all.py runs/nano/export/goDrive-q4_K_M.gguf            # all 292,352 states
    python benchmarks/judge_all.py FILE --limit 20000 --check 20000                # and compare the verdicts

Baseline: llama.cpp's server in this process, 16 requests at once, as answers were made before they were batched.
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from drivecoach.domains.driving import DRIVING
from drivecoach.native.judge import judge
from drivecoach.runtime.llamacpp import SLOTS, LlamaCpp


def main() -> None:
    """Print rates, their ratio, wrong answers, and whether both ways agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--limit", type=int, default=None, help="judge so many states, drawn at random")
    parser.add_argument("--check", type=int, default=1000, help="generate so many of them, and compare")
    options = parser.parse_args()
    with LlamaCpp(options.model) as runtime:
        states = list(DRIVING.inputs())
        if options.limit:
            states = random.Random(1).sample(states, options.limit)
        start = time.perf_counter()
        rows = (
            (runtime.chat.prompt(DRIVING.write_input(state)), DRIVING.write_answer(DRIVING.teach(state)))
            for state in states
        )
        verdicts = list(judge(options.model, rows, length=runtime.context, end=runtime.chat.end))
        judged = len(verdicts) / (time.perf_counter() - start)
        wrong = sum(not verdict.right for verdict in verdicts)
        print(f"judged {len(verdicts):,} states in {len(verdicts) / judged:.0f} s: {judged:.0f}/s, {wrong:,} wrong")

        places = range(0, len(states), max(1, len(states) // options.check))
        chosen = list(islice(places, options.check))
        prompts = [runtime.chat.prompt(DRIVING.write_input(states[at])) for at in chosen]
        runtime.complete(prompts[0])
        start = time.perf_counter()
        with ThreadPoolExecutor(SLOTS) as pool:
            texts = [completion.text for completion in pool.map(runtime.complete, prompts)]
        generated = len(texts) / (time.perf_counter() - start)
        same = sum(
            (text == DRIVING.write_answer(DRIVING.teach(states[at]))) == verdicts[at].right
            for at, text in zip(chosen, texts, strict=True)
        )
    print(f"generated {len(texts):,}: {generated:.0f}/s; judging is {judged / generated:.1f} times as fast")
    print(f"verdicts that agree: {same:,} of {len(texts):,}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
