"""Time and peak memory of `drivecoach data check` on files of growing length: the memory must not grow with them.

    python benchmarks/check_stream.py            # 10,000, 100,000 and 1,000,000 rows of JSONL, JSON, CSV and Parquet
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path


def rows(count: int) -> Iterator[dict[str, str]]:
    """Free-text pairs of about 300 bytes; every 1,000th a duplicate, every 1,001st a conflict."""
    for n in range(count):
        of = n - 1 if n and n % 1000 == 0 else n - 2 if n > 2 and n % 1001 == 0 else n
        answer = "另一个回答" if n > 2 and n % 1001 == 0 else f"回答 {of}: " + "前方路口有行人，请减速慢行。" * 5
        yield {"input": f"问题 {of}: 现在该怎么做？", "output": answer}


def write(path: Path, count: int) -> None:
    """Write the rows in the form that the file's ending says."""
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(list(rows(count))), path)
        return
    with path.open("w", encoding="utf-8", newline="") as stream:
        if path.suffix == ".csv":
            writer = csv.DictWriter(stream, ["input", "output"])
            writer.writeheader()
            writer.writerows(rows(count))
        elif path.suffix == ".json":
            stream.write("[\n")
            for n, row in enumerate(rows(count)):
                stream.write((",\n" if n else "") + json.dumps(row, ensure_ascii=False))
            stream.write("\n]\n")
        else:
            stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows(count))


MEASURED = r"""
import re, sys
from pathlib import Path
from drivecoach.cli import main
sys.argv = ["drivecoach", "data", "check", sys.argv[1], "--domain", "text"]
try:
    main()
except SystemExit:
    pass
print(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
"""


def main() -> None:
    """Print one line a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--kinds", nargs="+", default=["jsonl", "json", "csv", "parquet"])
    options = parser.parse_args()
    print(f"{'file':>16} {'MB':>7} {'seconds':>8} {'rows/s':>8} {'peak MiB':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for kind in options.kinds:
            for count in options.rows:
                path = Path(folder) / f"{count}.{kind}"
                write(path, count)
                start = time.perf_counter()
                command = [sys.executable, "-c", MEASURED, path]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                seconds = time.perf_counter() - start
                peak = int(done.stdout.split()[-1]) / 1024
                size = path.stat().st_size / 1e6
                print(f"{path.name:>16} {size:7.1f} {seconds:8.1f} {count / seconds:8.0f} {peak:9.0f}", flush=True)
                path.unlink()


if __name__ == "__main__":
    main()
