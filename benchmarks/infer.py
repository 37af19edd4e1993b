"""Rows a second of `drivecoach infer` on the embedded engine, beside plain loops over the same model.

    python benchmarks/infer.py GGUF [--rows 5000] [--loop 1000]       # OLLAMA_HOST: a real Ollama, compared with too

All ask different states, drawn at random. Baselines: a plain loop over `drivecoach serve` and one over Ollama, by the
official client, each answer parsed; 16 requests at once over `serve`; and `infer` with every answer made by llama.cpp's
server in this process, as it was before answers were decoded in batches. Its answers must be the same to the letter.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import ollama
from common import figure, finish, in_turns

from drivecoach.batch.hosts import Hosts
from drivecoach.batch.read import open_source
from drivecoach.batch.run import Settings, run_batch
from drivecoach.domains.driving import DRIVING
from drivecoach.errors import InputError
from drivecoach.runtime.llamacpp import SLOTS, LlamaCpp

NAME = "bench"
IN_FLIGHT = 16


@contextmanager
def served(gguf: Path) -> Iterator[str]:
    """The address of `drivecoach serve` on the file."""
    command = [sys.executable, "-c", "from drivecoach.cli import main; main()", "serve", str(gguf), "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    try:
        assert server.stdout is not None  # noqa: S101
        yield server.stdout.readline().partition(" on ")[2].split()[0]
    finally:
        server.terminate()
        server.wait()


@contextmanager
def in_ollama(gguf: Path, host: str) -> Iterator[str]:
    """The file as a model of a real Ollama, gone again afterwards."""
    client = ollama.Client(host=host)
    digest = client.create_blob(gguf)
    modelfile = (gguf.parent / "Modelfile").read_text(encoding="utf-8")
    template = modelfile.partition('TEMPLATE """')[2].partition('"""')[0]
    system = modelfile.partition('SYSTEM """')[2].partition('"""')[0]
    parameters = {"temperature": 0, "num_ctx": 256, "num_predict": 96, "stop": ["<|im_end|>"]}
    client.create(NAME, files={gguf.name: digest}, template=template, system=system, parameters=parameters)
    try:
        yield host
    finally:
        client.delete(NAME)


def old_way(gguf: Path) -> LlamaCpp:
    """The runtime with answers from llama.cpp's server only."""
    runtime = LlamaCpp(gguf)
    runtime._fits, runtime.slots, runtime.together = False, SLOTS, 1
    return runtime


def without_drafts(gguf: Path) -> LlamaCpp:
    """The runtime with no guess of what the answer may be."""
    runtime = LlamaCpp(gguf)
    runtime.__dict__["_domain"] = None
    return runtime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=Path)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--loop", type=int, default=1000, help="rows of a plain loop, whose rate does not hang on them")
    asked = parser.parse_args()
    lines = [DRIVING.write_input(state) for state in random.Random(0).sample(list(DRIVING.inputs()), asked.rows)]
    folder = Path(tempfile.mkdtemp())
    states = folder / "states.txt"
    states.write_text("\n".join(lines), encoding="utf-8")
    answers: dict[str, list[str]] = {}

    def embedded(name: str, open_runtime: Callable[[Path], LlamaCpp]) -> float:
        output = folder / "out.jsonl"
        for path in (output, Path(f"{output}.journal")):
            path.unlink(missing_ok=True)
        hosts = Hosts([lambda: open_runtime(asked.gguf)])
        batch = run_batch(open_source(states, DRIVING), output, DRIVING, Settings(str(asked.gguf)), hosts)
        rows = map(json.loads, output.read_text(encoding="utf-8").splitlines())
        answers[name] = [json.dumps({**row, "milliseconds": 0}) for row in rows]
        return batch.rows_per_second

    def loop(url: str, model: str) -> float:
        client = ollama.Client(host=url)
        start = time.perf_counter()
        for line in lines[: asked.loop]:
            with suppress(InputError):  # a loop that counts no invalid answers still goes on after one
                DRIVING.read_answer(client.generate(model, line).response)
        return asked.loop / (time.perf_counter() - start)

    def many(url: str) -> float:
        client = ollama.Client(host=url)
        start = time.perf_counter()
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            list(pool.map(lambda line: client.generate("goDrive", line), lines[: 2 * asked.loop]))
        return 2 * asked.loop / (time.perf_counter() - start)

    host = os.environ.get("OLLAMA_HOST")
    with served(asked.gguf) as url:
        ways: dict[str, Callable[[], float]] = {
            "infer": lambda: embedded("infer", LlamaCpp),
            "plain": lambda: embedded("plain", without_drafts),
            "old": lambda: embedded("old", old_way),
            "loop": lambda: loop(url, "goDrive"),
            "many": lambda: many(url),
        }
        if host:
            with in_ollama(asked.gguf, host):
                ways["ollama"] = lambda: loop(host, NAME)
                rates = in_turns(ways)
        else:
            rates = in_turns(ways)
    unit, subject = "rows/s", "infer, embedded"
    figures = [
        figure(subject, rates["infer"], unit, baseline="through llama.cpp's server", against=rates["old"], bar=2.5),
        figure(subject, rates["infer"], unit, baseline="plain loop over serve", against=rates["loop"]),
        figure(subject, rates["infer"], unit, baseline=f"{IN_FLIGHT} at once over serve", against=rates["many"]),
        figure("infer without drafts", rates["plain"], unit, baseline="with drafts", against=rates["infer"]),
    ]
    if host:
        figures.insert(
            1,
            figure(subject, rates["infer"], unit, baseline="plain loop over Ollama", against=rates["ollama"], bar=8),
        )
    same = [sum(map(str.__eq__, answers["old"], answers[name])) for name in ("infer", "plain")]
    finish(
        "Batch inference",
        figures,
        [
            f"outcomes equal to those through llama.cpp's server: {same[0]:,} of {asked.rows:,} with drafts, "
            f"{same[1]:,} without",
            *([] if host else ["no Ollama was compared with (OLLAMA_HOST names none)"]),
        ],
    )


if __name__ == "__main__":
    main()
