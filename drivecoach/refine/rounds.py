"""The record of a refinement: what each round was taught and what was wrong after it."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from drivecoach.errors import DataError
from drivecoach.files import write_json

ROUNDS = "rounds.json"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Round(_Part):
    """One round; the first, number 0, is the run as it was."""

    round: int
    added: int
    """Pairs that were drawn for it."""
    pairs: int
    """All pairs of the run now, held-out ones too."""
    states: int
    """How many were looked at: all, or the doubtful ones."""
    verified: bool
    """Whether that was all."""
    wrong: int
    lowered: int
    violations: int | None
    """None where only the doubtful states were looked at."""
    minutes: dict[str, float]
    """Wall time by stage: train, export, verify; what an interrupted run had done before is not in it."""
    model: str
    """SHA-256 of the file that was verified."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return self.verified and not (self.wrong or self.violations)

    @property
    def rank(self) -> tuple[bool, int, int, int]:
        """What is worse is larger: a lowered danger, then a broken invariant, then any wrong answer."""
        return not self.verified, self.lowered, self.violations or 0, self.wrong


class Rounds(_Part):
    """The whole refinement, as it stands in ``rounds.json``."""

    parent: str
    """The folder of the run that was refined."""
    fingerprint: str
    """Which of its trainings was."""
    held_out_before: dict[str, float]
    """Share of right answers of that run by test, before anything was drawn from what it got wrong; empty where it
    was not evaluated."""
    rounds: list[Round]
    kept: int = 0
    """The round whose model is the refined run's."""
    finished: bool = False

    def rows(self) -> list[list[str]]:
        """For a table: one row a round."""
        return [
            [
                str(one.round),
                f"{one.added:,}",
                f"{one.pairs:,}",
                f"{one.wrong:,}",
                f"{one.states:,}" + ("" if one.verified else " doubtful"),
                f"{one.lowered:,}",
                "-" if one.violations is None else f"{one.violations:,}",
                ", ".join(f"{name} {minutes:.1f}" for name, minutes in one.minutes.items()),
            ]
            for one in self.rounds
        ]


COLUMNS = ("round", "added", "pairs", "wrong", "of", "lowered", "violations", "minutes")


def write_rounds(folder: Path, rounds: Rounds) -> None:
    """Keep the record in the refined run's folder."""
    write_json(folder / ROUNDS, rounds.model_dump(mode="json"))


def read_rounds(folder: Path) -> Rounds | None:
    """The record in a run's folder; None where it was never refined. Raises DataError for one that is damaged."""
    try:
        return Rounds.model_validate_json((folder / ROUNDS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise DataError(
            f"{folder / ROUNDS} is damaged", hint=f"refine anew: rm -r {folder}, then drivecoach refine RUN"
        ) from error
