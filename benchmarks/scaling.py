"""`drivecoach infer` on one core and on all, on files of growing length, with the memory that each took.

    python benchmarks/scaling.py GGUF [--rows 1000 10000 100000 292352]

Every row is another state. The longest file is then run a second time, which finds all of its answers in the journal:
that is the rate of reading, looking up and writing alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

from common import RUNS, figure, finish

from drivecoach.domains.driving import DRIVING

MEASURED = r"""
import re, sys
from pathlib import Path
from drivecoach.cli import main
sys.argv = ["drivecoach", "infer", sys.argv[1], "-o", sys.argv[2], "--model", sys.argv[3], "--guard", "off", "--json"]
try:
    main()
except SystemExit:
    pass
print(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1], file=sys.stderr)
"""
FEW = 5000
"""Rows with which one core is compared with all."""


def run(source: Path, output: Path, gguf: Path, cores: Collection[int]) -> tuple[float, float]:
    """Rows a second and peak MiB of a whole command on these cores."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(source), str(output), str(gguf)],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    return json.loads(done.stdout)["rows_per_second"], int(re.findall(r"\d+", done.stderr)[-1]) / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 10_000, 100_000, 292_352])
    asked = parser.parse_args()
    lines = [DRIVING.write_input(state) for state in DRIVING.inputs()]
    random.Random(5).shuffle(lines)
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:

        def file(rows: int) -> tuple[Path, Path]:
            source = Path(folder, f"{rows}.txt")
            source.write_text("".join(f"{line}\n" for line in lines[:rows]), encoding="utf-8")
            return source, Path(folder, f"{rows}.jsonl")

        source, output = file(FEW)
        rates: dict[int, list[float]] = {1: [], len(cores): []}
        for _ in range(RUNS):
            for count, found in rates.items():
                for path in (output, Path(f"{output}.journal")):
                    path.unlink(missing_ok=True)
                found.append(run(source, output, asked.gguf, cores[:count])[0])
        figures = [
            figure(f"{len(cores)} cores", rates[len(cores)], "rows/s", baseline="one core", against=rates[1]),
        ]
        first = 0.0
        for rows in asked.rows:
            source, output = file(rows)
            rate, peak = run(source, output, asked.gguf, cores)
            first = first or peak
            figures.append(figure(f"{rows:,} rows: rate", [rate], "rows/s"))
            shortest = f"{asked.rows[0]:,} rows"
            figures.append(
                figure(f"{rows:,} rows: peak memory", [peak], "MiB", baseline=shortest, against=[first])
            )
        rate, peak = run(source, output, asked.gguf, cores)
        figures.append(figure(f"{rows:,} rows again, all in the journal: rate", [rate], "rows/s"))
        figures.append(figure("and peak memory", [peak], "MiB"))
    finish("Scaling", figures, ["each length was run once; the two kinds of cores in turns"])


if __name__ == "__main__":
    main()
