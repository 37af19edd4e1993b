"""The studio's folder: which names lead to a file in it, what is listed, who holds it."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivecoach.errors import InputError, StorageError
from drivecoach.studio.workspace import OWN, Workspace

PARTS = st.sampled_from(
    ["..", ".", "", "a", "data", "~", OWN, "a\0b", "-x", "a\nb", "\u202eb", "x" * 300, "a ", "C:", "$(x)"]
)
NAMES = st.one_of(
    st.text(max_size=60),
    st.lists(st.one_of(PARTS, st.text(max_size=5)), max_size=6).map("/".join),
    st.lists(PARTS, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts)),
)


@given(name=NAMES)
def test_a_name_leads_into_the_folder_or_is_refused(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    workspace = Workspace(tmp_path_factory.getbasetemp() / "names")
    try:
        place = workspace.path(name)
    except InputError as error:
        assert error.hint
        return
    inside = place.resolve().relative_to(workspace.folder)
    assert inside.parts and not any(part.startswith((".", "-")) for part in inside.parts)
    assert name.isprintable() and workspace.name(place) == name


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../x", "data/../x", "data/..", f"{OWN}/jobs", ".hidden", "data//x", "data\\x", "", "-rf", "a\nb"],
)
def test_what_leads_elsewhere_is_refused_by_name(workspace: Workspace, name: str) -> None:
    with pytest.raises(InputError) as raised:
        workspace.path(name)
    assert repr(name) in raised.value.message


def test_a_link_to_the_outside_is_no_way_out(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "outside.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (workspace.folder / "data/link.csv").symlink_to(tmp_path / "outside.csv")
    (workspace.folder / "way").symlink_to(tmp_path)
    (workspace.folder / "data/mine.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    for name in ("data/link.csv", "way/outside.csv"):
        with pytest.raises(InputError, match="leads out"):
            workspace.path(name)
    assert workspace.files(".csv") == ["data/mine.csv"]


def test_ordinary_names_in_any_language_are_fine(workspace: Workspace) -> None:
    for name in ("data/我的数据 (2).csv", "data/Größe_1.0-a.jsonl", "recipes/nano.yaml"):
        assert workspace.path(name) == workspace.folder / name


def test_a_free_name_is_over_nothing_that_is_there(workspace: Workspace) -> None:
    for name in ("data/a.csv", "data/a-2.csv"):
        (workspace.folder / name).touch()
    assert workspace.free("data/a.csv") == "data/a-3.csv"
    assert workspace.free("data/b.csv") == "data/b.csv"


def _hold(folder: Path, held: multiprocessing.Event, done: multiprocessing.Event) -> None:  # type: ignore[valid-type]
    with Workspace(folder).lock():
        held.set()  # type: ignore[attr-defined]
        done.wait(20)  # type: ignore[attr-defined]


def test_a_second_studio_on_a_folder_says_who_holds_it(workspace: Workspace) -> None:
    fork = multiprocessing.get_context("fork")
    held, done = fork.Event(), fork.Event()
    other = fork.Process(target=_hold, args=(workspace.folder, held, done))
    other.start()
    try:
        assert held.wait(20)
        with pytest.raises(StorageError, match=f"process {other.pid} on") as raised, workspace.lock():
            pass
        assert "drivecoach studio" in raised.value.hint
    finally:
        done.set()
        other.join()
    with workspace.lock():
        pass
