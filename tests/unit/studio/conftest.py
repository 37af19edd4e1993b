"""A studio on an empty folder, in the test's own process, and one who has its cookie."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from drivecoach.studio.app import make_app
from drivecoach.studio.jobs import Jobs
from drivecoach.studio.workspace import Workspace

TOKEN, PORT = "right-token", 7001
HERE = f"http://127.0.0.1:{PORT}"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "desk")


@pytest.fixture
def stranger(workspace: Workspace) -> Iterator[TestClient]:
    with TestClient(make_app(workspace, Jobs(workspace), TOKEN, PORT), base_url=HERE) as made:
        yield made


@pytest.fixture
def client(stranger: TestClient) -> TestClient:
    assert stranger.get("/", params={"token": TOKEN}).status_code == 200
    return stranger
