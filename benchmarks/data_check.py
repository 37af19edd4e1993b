"""`drivecoach data check` beside a plain loop of `json.loads` and Pydantic models, and its memory as files grow.

    python benchmarks/data_check.py [--rows 300000] [--whole 1000000]

The loop is what one would write first: `json.loads` of the line, the feature line cut at `; ` and `:`, then
`VehicleState(**…)` and `Instruction(**json.loads(…))` with Pydantic's default validation; for free text a model of two
texts. It finds no duplicate, no conflict and no broken invariant, names no row and goes on after no fault; the time of
its imports is not counted. The check is the command as a person starts it, start included.

Driving rows: all 292,352 states with the teacher's answers, drawn in random order, again and again; a system turn that
names a trainee makes nearly every row another question. Every 1,000th row repeats the one before, every 1,001st gives
the question before it another answer. Free-text rows are all different, with as many repeats.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from common import Figure, figure, finish, in_turns, seconds
from pydantic import BaseModel

from drivecoach.domains.driving import DRIVING
from drivecoach.domains.driving.instruction import Instruction
from drivecoach.domains.driving.state import VehicleState

TIMES = 3.0
"""The bar: so many times as fast as the loop."""
FLAT = 1.3
"""The bar: so many times the memory for ten times the rows."""
KINDS = ("json", "csv", "parquet")


class FreeText(BaseModel):
    """A row of free text."""

    input: str
    output: str


def driving_rows() -> Iterator[dict[str, str]]:
    """Without an end."""
    states = [(DRIVING.write_input(state), DRIVING.write_answer(DRIVING.teach(state))) for state in DRIVING.inputs()]
    draw, row = random.Random(1), dict[str, str]()
    other = next(answer for _, answer in states if answer != states[0][1])
    number = 0
    while True:
        draw.shuffle(states)
        for text, answer in states:
            if (number % 1000 and number % 1001) or not row:
                row = {"system": f"学员{draw.randrange(100_000):05d}", "input": text, "output": answer}
            elif not number % 1001:
                row = {**row, "output": other if row["output"] != other else states[0][1]}
            yield row
            number += 1


def text_rows() -> Iterator[dict[str, str]]:
    """Without an end: some 300 bytes a row."""
    number, row = 0, dict[str, str]()
    while True:
        if (number % 1000 and number % 1001) or not row:
            answer = f"回答 {number}: " + "前方路口有行人，请减速慢行。" * 5
            row = {"input": f"问题 {number}: 现在该怎么做？", "output": answer}
        elif not number % 1001:
            row = {**row, "output": "另一个回答"}
        yield row
        number += 1


def write(path: Path, rows: Iterator[dict[str, str]]) -> None:
    """Write the rows in the form that the file's ending says."""
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(list(rows)), path)
        return
    with path.open("w", encoding="utf-8", newline="") as stream:
        if path.suffix == ".csv":
            writer = csv.DictWriter(stream, ["input", "output"])
            writer.writeheader()
            writer.writerows(rows)
        elif path.suffix == ".json":
            for number, row in enumerate(rows):
                stream.write((",\n" if number else "[\n") + json.dumps(row, ensure_ascii=False))
            stream.write("\n]\n")
        else:
            stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def loop_over_driving(path: Path) -> None:
    """The plain loop."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            features = row["input"].removeprefix("<特征>").removesuffix("</特征>")
            VehicleState(**dict(pair.split(":") for pair in features.split("; ")))
            Instruction(**json.loads(row["output"]))


def loop_over_text(path: Path) -> None:
    """The plain loop."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            FreeText(**json.loads(line))


MEASURED = r"""
import re, resource, sys
from pathlib import Path
from drivecoach.cli import main
sys.argv = ["drivecoach", "data", "check", *sys.argv[1:]]
try:
    main()
except SystemExit:
    pass
own = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]
print(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def check(path: Path, domain: str) -> list[float]:
    """Run the command; the peak memory (MiB) of its process, and of the largest that it started."""
    command = [sys.executable, "-c", MEASURED, str(path), "--domain", domain]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [int(size) / 1024 for size in done.stdout.split()[-2:]]


def compared(path: Path, count: int, domain: str, loop: Callable[[Path], None], **bar: Any) -> Figure:
    """The command's rows a second beside the loop's."""
    name = {"driving": "driving rows", "text": "free text, all distinct"}[domain]
    found = in_turns(
        {
            "loop": lambda: count / seconds(lambda: loop(path)),
            "check": lambda: count / seconds(lambda: check(path, domain)),
        }
    )
    baseline = "json.loads + Pydantic"
    return figure(f"data check, {name}", found["check"], "rows/s", baseline=baseline, against=found["loop"], **bar)


def main() -> None:
    """Compare, then let the files grow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300_000, help="of the files that are compared in turns")
    parser.add_argument("--whole", type=int, default=1_000_000, help="of the largest file")
    asked = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        whole, some, tenth, text = (Path(folder) / f"{name}.jsonl" for name in ("whole", "some", "tenth", "text"))
        write(whole, islice(driving_rows(), asked.whole))
        for part, count in ((some, asked.rows), (tenth, asked.whole // 10)):
            with whole.open(encoding="utf-8") as lines, part.open("w", encoding="utf-8") as stream:
                stream.writelines(islice(lines, count))
        figures.append(compared(some, asked.rows, "driving", loop_over_driving, bar=TIMES))
        write(text, islice(text_rows(), asked.rows))
        figures.append(compared(text, asked.rows, "text", loop_over_text))
        peaks: dict[Path, list[float]] = {}
        for path, count in ((tenth, asked.whole // 10), (whole, asked.whole)):
            took = seconds(lambda path=path: peaks.update({path: check(path, "driving")}))  # type: ignore[misc]
            figures.append(figure(f"data check, {count:,} driving rows, one run", [count / took], "rows/s"))
        for place, name in enumerate(("the command", "its largest process")):
            against = [peaks[tenth][place]]
            figures.append(
                figure(
                    f"peak memory of {name}, {asked.whole:,} rows",
                    [peaks[whole][place]],
                    "MiB",
                    baseline=f"{asked.whole // 10:,} rows",
                    against=against,
                    bar=FLAT,
                    bar_is="at most",
                )
            )
        for kind in KINDS:
            path, count = Path(folder) / f"text.{kind}", asked.rows // 6
            write(path, islice(text_rows(), count))
            took = seconds(lambda path=path: check(path, "text"))  # type: ignore[misc]
            figures.append(figure(f"data check, free text as {kind}, one run", [count / took], "rows/s"))
    distinct = min(asked.whole, 292_352) / asked.whole
    finish(
        "Data: drivecoach data check",
        figures,
        [
            f"driving rows: {asked.rows:,} in turns; of {asked.whole:,} rows {distinct:.0%} have a state that no "
            "earlier one has; with the trainee, 99.8% are questions of their own",
            "the loop compares no rows, judges no invariant and stops at the first fault; it runs on one core, the "
            "check on all",
        ],
    )


if __name__ == "__main__":
    main()
