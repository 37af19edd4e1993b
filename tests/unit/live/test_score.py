"""Scores of drives: what a good coach gets, and what each kind of bad one is caught by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from drivecoach.domain import Domain
from drivecoach.errors import DataError
from drivecoach.infer import Engine, Outcome, Question
from drivecoach.live import Record, Settings
from drivecoach.live.score import Score, score_drives, score_files, table
from drivecoach.runtime.rules import Rules
from tests.support.lamps import LAMPS, Call, Lamp

ENGINE = Engine(Rules(LAMPS).generate, LAMPS)


def right(text: str, value: Any) -> Outcome[Any]:
    return ENGINE.settle(value, Question(text))


def always(level: Any, text: str) -> Any:
    return lambda state, value: Outcome(1, state, "valid", Call(level=level, text=text), seconds=0.01)


def drive(shows: str, step: float = 1.0) -> list[Record]:
    """A state a second."""
    return [Record({"shows": one}, number * step) for number, one in enumerate(shows)]


def score(records: list[Record], ask: Any = right, **settings: Any) -> Score:
    (found,) = score_drives({"d": records}, LAMPS, ask, Settings(**settings))
    return found


def test_a_coach_that_is_right_misses_nothing() -> None:
    found = score(drive("aaaaeeeeeaaaaffffbbbb"))
    assert (found.dangers, found.missed, found.over, found.danger_delay) == (2, 0, 0, 0.0)
    assert found.delay == pytest.approx(0.5) and found.minutes == pytest.approx(20.1 / 60)


def test_a_coach_that_says_it_milder_misses_every_danger() -> None:
    found = score(drive("aaaaeeeeeaaaaffff"), always("hint", "go on"))
    assert (found.dangers, found.missed, found.danger_delay) == (2, 2, None)


def test_a_danger_that_was_just_said_is_not_missed() -> None:
    assert score(drive("eaea", 0.3)).missed == 0


def test_false_alarms_and_what_is_over_at_once_are_needless() -> None:
    assert score(drive("aaaa"), always("danger", "run")).over > 0
    assert score(drive("eaaaaaaaaa", 0.2)).over == 1, "the danger was over before it was said"


def test_repeats_below_danger() -> None:
    assert score(drive("c" * 30)).repeats == 3
    assert score(drive("c" * 30), rest=60).repeats == 0
    assert score(drive("e" * 30)).repeats == 0, "a danger has to be repeated"


def test_several_drives_and_their_table() -> None:
    scores = score_drives({"one": drive("aae"), "two": drive("ccc")}, LAMPS, right)
    assert [one.drive for one in scores] == ["one", "two", "all"] and scores[2].said == scores[0].said + scores[1].said
    lines = table(scores)
    assert len({line.count("|") for line in lines}) == 1 and lines[2].startswith("| one | 0.0 | 3 |")


@pytest.mark.parametrize(
    "first",
    [
        *(Record({"shows": "a"}, time) for time in (10**400, float("inf"), "noon", -1)),
        Record({"shows": "a"}, 5000.0),  # then the clock is set back
    ],
)
def test_times_that_go_wrong_are_scored_by_the_clock_that_the_coach_goes_by(first: Record) -> None:
    found = score([first, *drive("aaaaeeeeeaaaa")])
    assert found.missed == 0 and found.over == 0 and found.minutes < 1


def test_files_of_one_name_are_two_drives(tmp_path: Path) -> None:
    files = [tmp_path / place / "drive.jsonl" for place in ("one", "two")]
    for path in files:
        path.parent.mkdir()
        path.write_text("shows:e\n")
    assert [one.drive for one in score_files(files, LAMPS, right)] == [*map(str, files), "all"]


def test_what_cannot_be_scored_is_said() -> None:
    with pytest.raises(DataError, match="holds no state"):
        score([Record("oops")])

    class Taught(type(LAMPS)):  # type: ignore[misc]
        teach = Domain.teach

    with pytest.raises(DataError, match="lacks"):
        score_drives({"d": drive("a")}, Taught("other", Lamp, Call), right)
