"""An exported run with every link of the chain, made once."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the domain ``text`` with an adapter, a merged folder and an f16 file; its weights know nothing."""
    pytest.importorskip("peft")
    from tests.support.recipes import tiny_base
    from tests.support.trained import trained_run

    folder = tmp_path_factory.mktemp("evaluate")
    made = trained_run(tiny_base("qwen3", folder / "base"), folder, lora=True)
    made.export()
    return made.folder
