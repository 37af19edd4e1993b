"""Peak memory and rows a second of `drivecoach infer` on files of growing length: the memory must not grow with them.

    python benchmarks/infer_stream.py GGUF [--rows 10000 100000 1000000] [--states 2000]

The rows repeat ``--states`` different states, so that what is measured is reading, looking up and writing, which is
what most of a long file costs. A second run of the longest file then finds every answer in its journal.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from drivecoach.domains.driving import DRIVING

MEASURED = r"""
import re, sys
from pathlib import Path
from drivecoach.cli import main
sys.argv = ["drivecoach", "infer", sys.argv[1], "-o", sys.argv[2], "--model", sys.argv[3], "--json"]
try:
    main()
except SystemExit:
    pass
print(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1], file=sys.stderr)
"""


def main() -> None:
    """Print one line a run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gguf", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--states", type=int, default=2000)
    asked = parser.parse_args()
    lines = [DRIVING.write_input(state) for state in random.Random(0).sample(list(DRIVING.inputs()), asked.states)]
    print(f"{'rows':>10} {'written':>10} {'asked':>7} {'seconds':>8} {'rows/s':>8} {'peak MiB':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for rows in [*asked.rows, asked.rows[-1]]:
            source, output = Path(folder, f"{rows}.txt"), Path(folder, f"{rows}.jsonl")
            with source.open("w", encoding="utf-8") as stream:
                stream.writelines(lines[row % len(lines)] + "\n" for row in range(rows))
            command = [sys.executable, "-c", MEASURED, str(source), str(output), str(asked.gguf)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            summary = json.loads(done.stdout)
            with output.open("rb") as stream:
                written = sum(1 for _ in stream)
            peak = int(done.stderr.split()[-1]) / 1024
            seconds, speed = summary["seconds"], summary["rows_per_second"]
            print(f"{rows:>10} {written:>10} {summary['asked']:>7} {seconds:8.1f} {speed:8.0f} {peak:9.0f}", flush=True)


if __name__ == "__main__":
    main()
