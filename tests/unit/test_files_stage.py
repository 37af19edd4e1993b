"""Files are written whole or not at all; a stage's manifest says "complete" only when it is."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, RootModel

from drivecoach import stage
from drivecoach.errors import StorageError
from drivecoach.files import check_outputs, sha256, write_json, write_text, written_aside

TEXTS = st.text(st.characters(codec="utf-8"))


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_written_file_is_there_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "out.json"
    write_json(target, {"动作": ["松油门"]})
    assert target.read_text(encoding="utf-8") == '{\n  "动作": [\n    "松油门"\n  ]\n}\n'
    assert names_in(target.parent) == ["out.json"]
    assert sha256(target) == hashlib.sha256(target.read_bytes()).hexdigest()


FULL = [OSError(code, "No space left") for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)]
OTHERS = [
    KeyboardInterrupt(),
    ValueError("x"),
    ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
    TimeoutError("timed out"),
    FileNotFoundError(errno.ENOENT, "No such file or directory", "input.jsonl"),
    PermissionError(errno.EACCES, "Permission denied", "input.jsonl"),
]


@pytest.mark.parametrize("failure", [*FULL, *OTHERS], ids=repr)
def test_a_failure_leaves_the_old_file_and_nothing_aside(tmp_path: Path, failure: BaseException) -> None:
    target = tmp_path / "out.txt"
    target.write_text("old")
    with pytest.raises(BaseException) as caught, written_aside(target) as part:
        part.write_text("half of the new")
        assert target.read_text() == "old"
        raise failure
    assert target.read_text() == "old"
    assert names_in(tmp_path) == ["out.txt"]
    if failure in OTHERS:
        assert caught.value is failure, "no fault of the disk"
    else:
        assert isinstance(caught.value, StorageError)
        assert str(target) in caught.value.message and "No space left" in caught.value.message
        assert "disk" in caught.value.hint


WRITERS = {
    "text": 'part.write_text("x" * 100_000)',
    "stream": 'stream = part.open("wb"); [stream.write(b"x" * 99) for _ in range(1000)]; stream.close()',
    "parquet": """
    import os, pyarrow as pa
    from pyarrow.parquet import ParquetWriter
    table = pa.table({"a": [os.urandom(20).hex() for _ in range(10_000)]})
    with ParquetWriter(part, table.schema) as rows:
        rows.write_table(table)
""",
    "gguf": """
    from gguf import GGUFWriter
    writer = GGUFWriter(None, "llama")
    writer.add_name("x" * 100_000)
    try:
        writer.write_header_to_file(part)
        writer.write_kv_data_to_file()
    finally:
        writer.close()
""",
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_real_write_that_fails_leaves_nothing(tmp_path: Path, writer: str) -> None:
    """The operating system refuses to let the file grow, as a full disk does; every kind of writer says so."""
    code = f"""
import resource, signal, sys
from pathlib import Path
from drivecoach.errors import StorageError
from drivecoach.files import written_aside
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
  with written_aside(Path(sys.argv[1])) as part:
    {WRITERS[writer]}
except StorageError as error:
    print(error.message)
"""
    target = tmp_path / "out.txt"
    target.write_text("old")
    command = [sys.executable, "-c", code, str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert f"could not write {target}" in done.stdout, done.stderr
    assert done.returncode == 0
    assert names_in(tmp_path) == ["out.txt"]
    assert target.read_text() == "old"


@pytest.mark.parametrize(
    ("name", "helps"),
    [
        ("file/below.txt", "a file stands where a folder is wanted"),
        ("folder", "another file"),
        ("", "another file"),
        ("n" * 300, "a shorter name"),
        ("n" * 252, "a shorter name"),
        ("circle", "in a circle"),
        ("locked/out.txt", "may write to"),
        ("a\0b", "another file"),
    ],
)
def test_an_impossible_place_is_a_storage_error_that_says_what_helps(
    tmp_path: Path, name: str, helps: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("a file, not a folder")
    (tmp_path / "folder").mkdir()
    (tmp_path / "locked").mkdir()
    (tmp_path / "circle").symlink_to("circle")
    touch = Path.touch

    def refusing(self: Path, *arguments: Any, **named: Any) -> None:  # root may write anywhere
        if self.parent.name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        touch(self, *arguments, **named)

    monkeypatch.setattr(Path, "touch", refusing)
    with pytest.raises(StorageError) as caught:
        write_text(tmp_path / name, "text")
    assert helps in caught.value.hint and "disk space" not in caught.value.hint
    assert names_in(tmp_path) == ["circle", "file", "folder", "locked"]


def test_a_link_is_followed_and_its_file_replaced(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink() and (tmp_path / "real.txt").read_text() == "new"


def test_what_lies_where_a_file_is_written_aside_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    (tmp_path / "out.txt.part").symlink_to("precious.txt")
    write_text(tmp_path / "out.txt", "new")
    assert (tmp_path / "precious.txt").read_text() == "mine"


@pytest.mark.parametrize("kind", ["a device", "a pipe", "a folder"])
def test_only_regular_files_are_replaced(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "target"
    if kind == "a device":
        target.symlink_to("/dev/null")
    elif kind == "a pipe":
        os.mkfifo(target)
    else:
        target.mkdir()
    for path in (target, tmp_path / "out.txt"):
        if path != target:
            target.rename(tmp_path / "out.txt.part")
        with pytest.raises(StorageError) as caught:
            write_text(path, "text")
        (fault,) = caught.value.faults
        assert kind in fault.found and str(path) in fault.where
    assert names_in(tmp_path) == ["out.txt.part"]
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(
    ("outputs", "clash"),
    [
        (["in.txt"], "the input"),
        (["./below/../in.txt"], "the input"),
        (["hard.txt"], "the input"),
        (["soft.txt"], "the input"),
        (["in"], ""),
        (["late"], "the input"),
        (["out.txt", "out.txt"], "a file that"),
        (["out.txt", "out.txt.part"], "a file that"),
        (["out.txt.part", "out.txt"], "a file that"),
        (["out.txt", "out.txt.journal"], ""),
    ],
)
def test_outputs_are_files_of_their_own(tmp_path: Path, outputs: list[str], clash: str) -> None:
    (tmp_path / "below").mkdir()
    source, second = tmp_path / "in.txt", tmp_path / "late.part"
    for path in (source, second):
        path.write_text("what the driver recorded")
    (tmp_path / "hard.txt").hardlink_to(source)
    (tmp_path / "soft.txt").symlink_to(source)
    named = {f"--out{place}": tmp_path / name for place, name in enumerate(outputs)}
    if not clash:
        check_outputs(named, [source, second])
        return
    with pytest.raises(StorageError) as caught:
        check_outputs(named, [source, second])
    assert [fault.where for fault in caught.value.faults] == [f"{name} {path}" for name, path in named.items()][-1:]
    assert clash in caught.value.faults[0].found
    assert source.read_text() == "what the driver recorded"


@given(st.dictionaries(st.text(), st.integers() | TEXTS | st.lists(st.booleans())))
def test_a_fingerprint_knows_values_not_the_order_of_keys(inputs: dict[str, Any]) -> None:
    print_ = stage.fingerprint(inputs)
    assert stage.fingerprint(dict(reversed(inputs.items()))) == print_
    assert stage.fingerprint(json.loads(json.dumps(inputs))) == print_
    assert stage.fingerprint({**inputs, "one more": [inputs.get("one more")]}) != print_


INPUTS = {"data": "abc", "split": [0.1, 0.1], "train": {"lora": None}}


class Results(BaseModel, extra="forbid"):
    rows: int
    best: float | None = None


RESULTS = Results(rows=3)


@pytest.fixture
def complete(tmp_path: Path) -> Path:
    folder = tmp_path / "stage"
    stage.begin(folder)
    (folder / "a.txt").write_text("a")
    (folder / "model").mkdir()
    stage.finish(folder, INPUTS, RESULTS, ["model", "a.txt"])
    return folder


def test_a_finished_stage_with_the_same_inputs_is_not_run_again(complete: Path) -> None:
    assert stage.finished(complete, dict(reversed(INPUTS.items())), Results) == RESULTS
    manifest = stage.read_manifest(complete, Results)
    assert manifest is not None
    assert manifest.files == ["a.txt", "model"]
    assert {"torch", "gguf"} <= manifest.versions.keys()


@pytest.mark.parametrize("changed", [{"data": "abd"}, {"split": [0.1, 0.2]}, {"train": {}}, {"new": 1}])
def test_other_inputs_run_it_again(complete: Path, changed: dict[str, Any]) -> None:
    assert stage.finished(complete, INPUTS | changed, Results) is None


def test_a_stage_that_has_begun_is_not_complete(complete: Path, tmp_path: Path) -> None:
    stage.begin(complete)
    assert stage.finished(complete, INPUTS, Results) is None
    assert stage.read_manifest(complete, Results) is None
    assert (complete / "a.txt").exists(), "what is there may serve the next attempt"
    assert stage.finished(tmp_path / "never", INPUTS, Results) is None


def test_a_lost_file_runs_it_again(complete: Path) -> None:
    (complete / "a.txt").unlink()
    assert stage.finished(complete, INPUTS, Results) is None


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"null", b"[]", b"\xff\xfe", b"{}", b"[" * 100_000,
        json.dumps({"inputs": INPUTS}).encode(),
        json.dumps({"inputs": INPUTS, "results": {"rows": 3}}).encode(),
        json.dumps({"inputs": INPUTS, "results": {"rows": 3}, "files": None}).encode(),
        json.dumps({"inputs": INPUTS, "results": None, "files": []}).encode(),
        json.dumps({"inputs": INPUTS, "results": {"rows": 3}, "files": [1]}).encode(),
        json.dumps({"inputs": INPUTS, "results": {"rows": 3}, "files": [], "versions": {"torch": 2}}).encode(),
    ],
)  # fmt: skip
def test_a_damaged_manifest_is_no_manifest(complete: Path, text: bytes) -> None:
    (complete / stage.MANIFEST).write_bytes(text)
    assert stage.finished(complete, INPUTS, Results) is None
    assert stage.read_manifest(complete, Results) is None


@pytest.mark.parametrize("results", [{"rows": "many"}, {}, {"rows": 3, "old": 1}])
def test_results_of_another_form_run_the_stage_again(complete: Path, results: dict[str, object]) -> None:
    """As a stage of another version left them."""
    manifest = json.loads((complete / stage.MANIFEST).read_text())
    (complete / stage.MANIFEST).write_text(json.dumps(manifest | {"results": results}))
    assert stage.finished(complete, INPUTS, Results) is None


def test_results_come_back_as_they_were_whatever_their_model(tmp_path: Path) -> None:
    class Scores(RootModel[dict[str, Results]]):
        pass

    written = Scores({"test": Results(rows=1, best=0.5), "uniform": Results(rows=2)})
    stage.begin(tmp_path)
    stage.finish(tmp_path, INPUTS, written, [])
    assert stage.finished(tmp_path, INPUTS, Scores) == written
    assert json.loads((tmp_path / stage.MANIFEST).read_text())["results"]["test"] == {"rows": 1, "best": 0.5}
