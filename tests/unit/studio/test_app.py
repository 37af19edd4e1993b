"""The studio's doors: token, Host, Origin; uploads within their limits; what a path as a name gets."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from drivecoach.studio import upload
from drivecoach.studio.app import TABS
from drivecoach.studio.workspace import Workspace
from tests.support.studio import open_studio
from tests.unit.studio.conftest import HERE, PORT, TOKEN

ODD = ["../x.csv", "/etc/x.csv", "a/b.csv", "a\\b.csv", ".x.csv", "x.py", "ok.csv", "\n.csv"]


def test_nobody_is_answered_without_the_token(stranger: TestClient) -> None:
    for path in ("/", "/api/workspace", "/api/jobs", "/studio/studio.js", "/web/base.css", "/nothing"):
        for given_ in ({}, {"token": ""}, {"token": "wrong"}, {"token": "Ünicode"}):
            assert stranger.get(path, params=given_).status_code == 401
    assert stranger.post("/api/files/a.csv", content=b"a,b\n").status_code == 401
    stranger.cookies.set(f"drivecoach-studio-{PORT}", "wrong")
    assert stranger.get("/api/workspace").status_code == 401


def test_the_cookie_is_for_this_page_and_port_alone(stranger: TestClient) -> None:
    answer = stranger.get("/", params={"token": TOKEN})
    said = answer.headers["set-cookie"]
    assert "HttpOnly" in said and "SameSite=Strict" in said and said.startswith(f"drivecoach-studio-{PORT}=")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert stranger.get("/api/workspace").status_code == 200


def test_another_host_or_origin_is_refused_with_the_token_too(client: TestClient) -> None:
    assert client.get("/api/workspace", headers={"host": "evil.example"}).status_code == 403
    for origin in ("http://evil.example", f"http://127.0.0.1:{PORT + 1}", "null"):
        assert client.post("/api/data/check", json={}, headers={"origin": origin}).status_code == 403
    assert client.get("/api/workspace", headers={"origin": HERE}).status_code == 200


def test_what_lies_in_the_folder_is_listed_that_of_the_studio_first(client: TestClient, workspace: Workspace) -> None:
    for name in ("a.csv", "data/z.csv", "data/z.rejects.jsonl", "pack/__init__.py", "pack/b.csv", "deep/.hid/c.csv"):
        (workspace.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace.folder / name).touch()
    for name in ("mine.py", "test_mine.py"):
        (workspace.folder / name).write_text("domain = Domain()", encoding="utf-8")
    (workspace.folder / "other.py").write_text("import os", encoding="utf-8")
    found = client.get("/api/workspace")
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.json()["files"] == ["data/z.csv", "a.csv"]
    assert found.json()["domains"] == ["driving", "text", "mine.py"]


def test_every_tab_has_its_script(client: TestClient) -> None:
    for tab in TABS:
        assert client.get(f"/studio/{tab.__name__.rpartition('.')[2]}.js").status_code == 200


def test_a_file_is_dropped_in_beside_one_of_its_name(client: TestClient, workspace: Workspace) -> None:
    for name, there in (("a.jsonl", "data/a.jsonl"), ("a.jsonl", "data/a-2.jsonl"), ("我 的.csv", "data/我 的.csv")):
        answer = client.post(f"/api/files/{name}", content=b'{"input": "a", "output": "b"}\n')
        assert answer.json() == {"file": there, "bytes": 30}
        assert (workspace.folder / there).stat().st_size == 30


def test_two_files_of_one_name_that_arrive_at_once_stay_two(tmp_path: Path) -> None:
    with open_studio(tmp_path) as client:

        def first() -> Iterator[bytes]:
            yield b"a,b\n"
            while not (tmp_path / "data/a.csv.part").exists():
                time.sleep(0.01)
            second = client.post("/api/files/a.csv", content=b"c,d\n3,4\n")
            assert second.json()["file"] == "data/a-2.csv"
            yield b"1,2\n"

        assert client.post("/api/files/a.csv", content=first()).json()["file"] == "data/a.csv"
    assert (tmp_path / "data/a.csv").read_bytes() == b"a,b\n1,2\n"
    assert (tmp_path / "data/a-2.csv").read_bytes() == b"c,d\n3,4\n"


def test_an_upload_that_is_broken_off_leaves_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with open_studio(tmp_path) as client:

        def broken() -> Iterator[bytes]:
            yield b"a,b\n"
            while not (tmp_path / "data/a.csv.part").exists():
                time.sleep(0.01)
            raise ConnectionAbortedError

        with pytest.raises(ConnectionAbortedError):
            client.post("/api/files/a.csv", content=broken())
        until = time.monotonic() + 10
        while [*(tmp_path / "data").iterdir()] and time.monotonic() < until:
            time.sleep(0.01)
    assert [*(tmp_path / "data").iterdir()] == []
    assert caplog.text == ""


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.one_of(st.text(max_size=30), st.sampled_from(ODD)))
def test_whatever_its_name_a_file_lands_in_data_or_nowhere(client: TestClient, workspace: Workspace, name: str) -> None:
    before = {*(workspace.folder / "data").iterdir()}
    quoted = "".join(f"%{byte:02x}" for byte in name.encode("utf-8", "replace"))
    answer = client.post(f"/api/files/{quoted}", content=b"a,b\n1,2\n")
    made = {*(workspace.folder / "data").iterdir()} - before
    assert answer.status_code in (200, 400, 404, 405)
    assert len(made) == (answer.status_code == 200)
    assert {entry.name for entry in workspace.folder.iterdir()} == {"data", "domains", "recipes", "runs", ".studio"}


@pytest.mark.parametrize("name", ["..%2Fx.csv", "%2Fetc%2Fx.csv", "a%5Cb.csv", "folder/x.csv"])
def test_a_path_as_its_name_is_refused_by_name(client: TestClient, name: str) -> None:
    answer = client.post(f"/api/files/{name}", content=b"a,b\n")
    assert answer.status_code == 400 and "is a path" in answer.json()["error"]


def test_two_gigabytes_are_refused_before_a_byte_is_read(client: TestClient, workspace: Workspace) -> None:
    def body() -> Iterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    answer = client.post("/api/files/big.csv", content=body(), headers={"content-length": str(2 << 30)})
    assert answer.status_code == 413 and "512 MiB" in answer.json()["error"]
    assert [*(workspace.folder / "data").iterdir()] == []


def test_a_file_that_does_not_say_its_size_is_cut_off_at_the_limit(
    client: TestClient, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "LARGEST", 1 << 20)
    answer = client.post("/api/files/big.csv", content=(b"x" * 65536 for _ in range(1000)))
    assert answer.status_code == 413 and "1 MiB" in answer.json()["error"]
    assert [*(workspace.folder / "data").iterdir()] == []


def test_a_zip_bomb_does_not_stay(client: TestClient, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "UNPACKED", 10 << 20)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("xl/worksheets/sheet1.xml", bytes(20 << 20))
    answer = client.post("/api/files/bomb.xlsx", content=packed.getvalue())
    assert answer.status_code == 400 and "GiB unpacked" in answer.json()["error"]
    assert client.post("/api/files/no.xlsx", content=b"no zip at all").status_code == 400
    assert [*(workspace.folder / "data").iterdir()] == []


def test_a_parquet_file_of_too_many_cells_does_not_stay(
    client: TestClient, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(upload, "CELLS", 100_000)
    packed = io.BytesIO()
    parquet.write_table(arrow.table({"input": ["a"] * 60_000, "output": ["b"] * 60_000}), packed)
    assert len(packed.getvalue()) < 10_000
    answer = client.post("/api/files/many.parquet", content=packed.getvalue())
    assert answer.status_code == 400 and "60,000 rows of 2 columns" in answer.json()["error"]
    assert client.post("/api/files/no.parquet", content=b"PAR1PAR1").status_code == 400
    assert [*(workspace.folder / "data").iterdir()] == []


def test_a_request_of_another_form_is_refused_in_words(client: TestClient) -> None:
    for body in (b"{", b"[]", b'{"file": 1}', b'{"file": "a", "more": 1}', b"\xff"):
        answer = client.post("/api/data/check", content=body)
        assert answer.status_code == 400 and answer.json()["hint"]
    assert client.post("/api/data/check", content=b" " * (9 << 20)).status_code == 413
