"""Start-up time of the command line, as a ratio against an empty Python process in the same run (medians)."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

RUNS = 9
COMMANDS = {
    "empty process": "pass",
    "import drivecoach": "import drivecoach",
    "drivecoach --help": "import sys; sys.argv = ['drivecoach', '--help']; from drivecoach.cli import main; main()",
}


def seconds(code: str) -> float:
    """Wall time of one fresh interpreter that runs ``code``."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Measure in turns, so that other load on the machine falls on all alike."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, code in COMMANDS.items():
            times[name].append(seconds(code))
    empty = median(times["empty process"])
    for name, values in times.items():
        print(f"{name:20} {median(values) / empty:5.1f} x an empty process   ({median(values):.3f} s)")


if __name__ == "__main__":
    main()
