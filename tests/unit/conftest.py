"""What several folders of tests share: a run that is trained once."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def crossing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained, exported and verified run that answers some of its 216 inputs wrong; nobody writes into it."""
    pytest.importorskip("trl")
    from drivecoach.evaluate.target import open_target
    from drivecoach.verify.run import verify
    from tests.support.crossing import crossing_run

    folder = crossing_run(tmp_path_factory.mktemp("crossing"), epochs=8).folder
    with open_target(str(folder)) as target:
        verify(target, folder / "verify")
    return folder
