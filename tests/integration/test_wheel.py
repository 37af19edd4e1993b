"""The wheel, installed where no checkout is: it brings the recipes and the pairs, and `tune NAME` finds them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = "base.nano.hidden_size=64 base.nano.layers=1 base.nano.head_dim=16 base.nano.intermediate_size=128"
QUICK = [part for setting in [*SMALL.split(), "train.max_steps=2", "data.fraction=0.02"] for part in ("--set", setting)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source")
    # A copy, since a build leaves build/ and *.egg-info beside the sources.
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file() and not name.startswith(("tests/", "docs/", "examples/")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return folder


def run(site: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-m", "drivecoach", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def test_the_wheel_holds_every_recipe_and_the_pairs(site: Path) -> None:
    shipped = site / "drivecoach/shipped"
    for folder, names in {"recipes": "*.yaml", "datasets": "driving.json"}.items():
        there = {path.name: path.read_bytes() for path in (shipped / folder).glob(names)}
        assert there == {path.name: path.read_bytes() for path in (ROOT / folder).glob(names)}, folder


def test_the_wheel_holds_what_pages_are_made_of(site: Path) -> None:
    for folder in ("web", "domains/driving/cockpit"):
        for part in ("static", "templates"):
            wanted = {path.name for path in (ROOT / "drivecoach" / folder / part).iterdir()}
            assert {path.name for path in (site / "drivecoach" / folder / part).iterdir()} == wanted


def test_a_shipped_recipe_is_tuned_by_its_name(site: Path, tmp_path: Path) -> None:
    ended = run(site, tmp_path, "train", "nano", *QUICK)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (tmp_path / "runs/nano/train/manifest.json").is_file()


def test_an_unknown_name_lists_the_shipped_ones(site: Path, tmp_path: Path) -> None:
    ended = run(site, tmp_path, "train", "nanno")
    assert ended.returncode == 1
    assert "no recipe at nanno" in ended.stderr and "shipped: " in ended.stderr and "nano," in ended.stderr
