"""Rows a second of `drivecoach infer` against a plain sequential loop, over the same `drivecoach serve`.

    python benchmarks/infer_throughput.py GGUF [--rows 5000]

Both ask the same states (all different) of the same server in the same run; the embedded engine is measured beside
them. Prints one JSON object.
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
from contextlib import suppress
from pathlib import Path

import ollama

from drivecoach.batch.read import open_source
from drivecoach.batch.run import Settings, run_batch
from drivecoach.domains.driving import DRIVING
from drivecoach.errors import InputError


def sequential(url: str, lines: list[str]) -> float:
    """Seconds of a plain loop with the official client, each answer parsed."""
    client = ollama.Client(host=url)
    start = time.perf_counter()
    for line in lines:
        with suppress(InputError):  # a loop that counts no invalid answers still goes on after one
            DRIVING.read_answer(client.generate("goDrive", line).response)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gguf", type=Path)
    parser.add_argument("--rows", type=int, default=5000)
    asked = parser.parse_args()
    lines = [DRIVING.write_input(state) for state in random.Random(0).sample(list(DRIVING.inputs()), asked.rows)]
    command = [sys.executable, "-c", "from drivecoach.cli import main; main()", "serve", str(asked.gguf), "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert server.stdout is not None  # noqa: S101
        url = server.stdout.readline().partition(" on ")[2].split()[0]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "states.txt")
            path.write_text("\n".join(lines), encoding="utf-8")
            source = open_source(path, DRIVING)
            served = Settings("ollama:goDrive", (url,))
            batch = run_batch(source, Path(folder, "a.jsonl"), DRIVING, served, served.connect())
            alone = sequential(url, lines)
            here = Settings(str(asked.gguf))
            embedded = run_batch(source, Path(folder, "b.jsonl"), DRIVING, here, here.connect())
    finally:
        server.terminate()
        server.wait()
    rates = {
        "rows": asked.rows,
        "cores": os.cpu_count(),
        "sequential loop over serve, rows/s": round(asked.rows / alone, 1),
        "infer over serve, rows/s": batch.rows_per_second,
        "infer over serve, at once": batch.in_flight_most,
        "infer on the embedded engine, rows/s": embedded.rows_per_second,
        "valid": batch.valid,
    }
    print(json.dumps(rates, ensure_ascii=False, indent=2))


if __name__ == "__main__":
    main()
