"""`make bench`: every benchmark in turn, then RESULTS.md and its plot from what they measured.

    python benchmarks/all.py [--model runs/nano/export/goDrive-q4_K_M.gguf] [--only infer judge …] [--write-only]

``OLLAMA_HOST`` names a real Ollama, where there is one: those that can be compared with it then are.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from common import HEADER, RESULTS, Figure, Result, cells

HERE = Path(__file__).parent
MODEL = Path("runs/nano/export/goDrive-q4_K_M.gguf")
SCRIPTS: dict[str, bool] = {
    "infer": True,
    "judge": True,
    "answer": True,
    "serve_load": True,
    "live": True,
    "scaling": True,
    "train_nano": False,
    "train_lora": False,
    "data_check": False,
    "export_size": False,
}
"""The scripts in their order, and whether they are given the model."""


def main() -> None:
    """Run what is asked for, then write the page; a script that fails is named and the others go on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--only", nargs="*", choices=SCRIPTS, default=list(SCRIPTS))
    parser.add_argument("--write-only", action="store_true", help="write RESULTS.md from the results there are")
    asked = parser.parse_args()
    failed = []
    for name in [] if asked.write_only else asked.only:
        command = [sys.executable, str(HERE / f"{name}.py"), *([str(asked.model)] if SCRIPTS[name] else [])]
        print(f"\n{' '.join(command)}", flush=True)
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    write_page()
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def write_page() -> None:
    """RESULTS.md and results.png from the result files."""
    found = {name: RESULTS / f"{name}.json" for name in SCRIPTS}
    results = {
        name: Result.model_validate_json(path.read_bytes()) for name, path in found.items() if path.is_file()
    }
    lines = [
        "# Results",
        "",
        "Written by `make bench`, not by hand: medians of several runs, each way and its baseline measured in turns.",
        "",
        "![ratios beside their bars](results.png)",
        "",
    ]
    for result in results.values():
        lines += [f"## {result.title}", "", f"`{result.command}`, {result.date}, on {result.machine}.", ""]
        lines += [f"| {' | '.join(HEADER)} |", "|" + "---|" * len(HEADER)]
        lines += [f"| {' | '.join(cells(one))} |" for one in result.figures]
        lines += ["", *(f"- {note}" for note in result.notes), f"- peak memory {result.peak_mib:,.0f} MiB", ""]
    (HERE / "RESULTS.md").write_text("\n".join(lines), encoding="utf-8")
    plot([one for result in results.values() for one in result.figures if one.bar is not None])


def plot(figures: list[Figure]) -> None:
    """How far each figure is past its bar: to the right of 1 it is met."""
    import matplotlib.pyplot as plt

    names, shares = [], []
    for one in figures:
        found = one.ratio if one.bar_on == "ratio" else one.value
        if not one.bar or not found:  # a count that should be none, and is: no times of it
            continue
        against = f", against {one.baseline}" if one.baseline and one.bar_on == "ratio" else ""
        names.append(f"{one.what}{against}")
        shares.append(found / one.bar if one.bar_is == "at least" else one.bar / found)
    if not names:
        return
    figure, axes = plt.subplots(figsize=(9, 0.42 * len(names) + 1.4), layout="constrained")
    colors = ["#2a9d8f" if share >= 1 else "#e76f51" for share in shares]
    axes.barh(names, shares, color=colors)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_xticks([0.25, 0.5, 1, 2, 4], ["¼", "½", "1", "2", "4"])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("times the bar (right of the line: met)")
    axes.invert_yaxis()
    figure.savefig(HERE / "results.png", dpi=110)


if __name__ == "__main__":
    main()
