"""Lines as they come: what one read gives is answered before the next is waited for; faults name their line."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivecoach.batch.hosts import Hosts
from drivecoach.batch.read import Stream, open_source
from drivecoach.batch.run import Settings, check_output, journal_of, run_batch
from drivecoach.domains.driving import DRIVING
from drivecoach.errors import DataError, StorageError
from tests.support.driving import lines
from tests.support.scripted_runtime import ScriptedRuntime

LINES = lines(6)


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[tuple[Path, Callable[[bytes], None]]]:
    """A named pipe, and what opens its other end, writes something and closes it."""
    path = tmp_path / "lines"
    os.mkfifo(path)
    writers: list[threading.Thread] = []

    def write(content: bytes) -> None:
        writers.append(threading.Thread(target=path.write_bytes, args=(content,)))
        writers[-1].start()

    yield path, write
    for writer in writers:
        writer.join(timeout=10)


def batches(content: bytes, monkeypatch: pytest.MonkeyPatch, sizes: list[int]) -> list[list[str]]:
    """What a stream of ``content`` gives when each read brings the next of ``sizes`` bytes."""
    stream, turns = io.BytesIO(content), iter(sizes)
    monkeypatch.setattr("drivecoach.batch.read.os.read", lambda _, most: stream.read(min(most, next(turns, most))))
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115, PTH123
    found = []
    for batch in Stream(Path("-"), DRIVING).batches():
        found.append(list(batch))
    return found


@given(st.lists(st.text(st.sampled_from("挡位1;: \r\t\u2028é"), max_size=9), max_size=8), st.lists(st.integers(1, 7)))
def test_lines_are_those_of_the_file_however_the_reads_fall(texts: list[str], sizes: list[int]) -> None:
    content = "\n".join([*texts, "last"]).encode()
    with pytest.MonkeyPatch.context() as patch:
        found = batches(content, patch, sizes)
    assert [line for batch in found for line in batch] == [t.strip() for t in [*texts, "last"] if t.strip()]
    assert all(found)


def test_a_line_is_there_as_soon_as_it_has_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert batches(b"a\nb\ncd\ne", monkeypatch, [2, 4, 2, 1]) == [["a"], ["b"], ["cd"], ["e"]]


@pytest.mark.parametrize(
    ("content", "said", "before"),
    [
        (b"", "held no line", []),
        (b"\n \r\n\t", "held no line", []),
        (b"a\nb\n\xff\nc\n", "line 3 is not UTF-8", ["a", "b"]),
        (b"a\n" + b"x" * 1_200_000, "line 2 is longer", ["a"]),
        (b"\xef\xbb\xbfa\n\xb3\xb5\n", "line 2 is not UTF-8", ["a"]),
    ],
    ids=["nothing", "blank", "bytes", "endless", "gbk"],
)
def test_a_fault_names_its_line_and_what_came_before_is_answered(
    monkeypatch: pytest.MonkeyPatch, content: bytes, said: str, before: list[str]
) -> None:
    stream = io.BytesIO(content)
    monkeypatch.setattr("drivecoach.batch.read.os.read", lambda _, most: stream.read(most))
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115, PTH123
    found: list[str] = []
    with pytest.raises(DataError, match=said) as caught:
        for batch in Stream(Path("-"), DRIVING).batches():
            found += batch
    assert "standard input" in caught.value.message and caught.value.hint
    assert found == before


def test_a_named_pipe_is_answered_into_a_file_with_its_journal(
    tmp_path: Path, fifo: tuple[Path, Callable[[bytes], None]]
) -> None:
    path, write = fifo
    output = tmp_path / "o.jsonl"
    for asked in (len(LINES), 0):
        source = open_source(path, DRIVING)
        assert isinstance(source, Stream)
        write("\n".join([json.dumps({"input": LINES[0]}), *LINES[1:], "no state"]).encode())
        summary = run_batch(source, output, DRIVING, Settings("scripted"), Hosts([ScriptedRuntime]))
        rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
        assert [row["row"] for row in rows] == list(range(1, len(LINES) + 2))
        assert [row["input"] for row in rows] == [*LINES, "no state"]
        assert [row["status"] for row in rows] == ["valid"] * len(LINES) + ["failed"]
        assert (summary.rows, summary.asked) == (len(LINES) + 1, asked), "the journal knows the second time"


def test_a_table_does_not_come_through_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rows.csv")
    with pytest.raises(DataError, match="plain lines or JSONL"):
        open_source(tmp_path / "rows.csv", DRIVING)


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/random"])
def test_a_device_is_no_input(device: str) -> None:
    with pytest.raises(DataError, match="is a device") as caught:
        open_source(Path(device), DRIVING)
    assert "standard input" in caught.value.hint


@pytest.mark.parametrize(
    "output", ["in.txt", "in.txt.part", "in.txt.journal", "model.gguf", ".", "/", "/dev/null", "x.xlsx"]
)
def test_an_output_never_is_what_something_else_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("in.txt", "model.gguf"):
        Path(name).write_text("precious")
    with pytest.raises(StorageError) as caught:
        check_output(Path(output), [Path("in.txt"), Path("model.gguf")])
    assert caught.value.hint
    check_output(Path("other.jsonl"), [Path("in.txt"), Path("model.gguf")])


def test_an_input_that_an_output_would_use_aside_is_refused(tmp_path: Path) -> None:
    output = tmp_path / "o.jsonl"
    for aside in (Path(f"{output}.part"), journal_of(output)):
        aside.write_text("what the driver recorded")
        with pytest.raises(StorageError, match="the input"):
            check_output(output, [aside])
        assert aside.read_text() == "what the driver recorded"
