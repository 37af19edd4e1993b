"""Expectations: CheckList's three kinds, declared by a domain and tried on a model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivecoach.domain import AnyDomain, Domain, Expectation
from drivecoach.domain.expectation import mistype, swap_words
from drivecoach.errors import RecipeError
from drivecoach.evaluate.behaviours import try_expectations
from drivecoach.evaluate.scores import AnyCase, Case
from drivecoach.evaluate.target import Target
from drivecoach.infer import Question
from tests.support.scripted_runtime import ScriptedRuntime

TEXTS = ["slow down before the crossing", "brake", "go on", "stop at once please"]


def louder(text: str, random: Random) -> str:
    return text + "!"


def domain_with(*expectations: Expectation) -> AnyDomain:
    domain: AnyDomain = Domain("words", str, str)
    domain.expectations = expectations
    return domain


def tried(domain: AnyDomain, answer: object) -> dict[str, tuple[str, int, int, list[str]]]:
    """For each expectation: its kind, how often it held, of how many, and what broke it."""
    runtime = ScriptedRuntime(lambda user, seed: answer(user), slots=4)  # type: ignore[operator]
    target = Target("scripted", "other", domain, runtime, None, None, None, "", "", lambda: "one")
    cases: list[AnyCase] = [Case(Question(text), "") for text in TEXTS]
    found = try_expectations(target, cases, lambda: None)
    return {one.name: (one.kind, one.held.count, one.held.rows, one.broken) for one in found}


def test_the_three_kinds_are_told_apart_and_tried() -> None:
    domain = domain_with(
        Expectation("short words", examples=[("brake", "5"), ("go", "3")]),
        Expectation("order", change=swap_words),
        Expectation("louder is longer", change=louder, holds=lambda before, after: int(after) > int(before)),
    )
    found = tried(domain, lambda user: str(len(user)))
    assert found["short words"] == ("minimum functionality", 1, 2, ["go"])
    assert found["order"] == ("invariance", 3, 3, []), "one word alone cannot be swapped"
    assert found["louder is longer"] == ("direction", 4, 4, [])
    broken = tried(domain_with(domain.expectations[1]), lambda user: user.split()[0] + user.split()[-1])["order"]
    assert broken[0] == "invariance" and broken[1] < broken[2] == 3 and broken[3]


def test_a_direction_is_broken_by_no_answer_and_by_the_wrong_way() -> None:
    shorter = Expectation("louder", change=louder, holds=lambda before, after: len(after) < len(before))
    assert tried(domain_with(shorter), lambda user: user)["louder"][:3] == ("direction", 0, 4)


@pytest.mark.parametrize("wrong", [{}, {"holds": max}, {"change": louder, "examples": [("a", "b")]}])
def test_an_expectation_that_expects_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match="needs either examples, or a change"):
        Expectation("nothing", **wrong)  # type: ignore[arg-type]


@given(st.text(max_size=40), st.integers())
def test_a_typing_error_swaps_two_letters_and_nothing_else(text: str, seed: int) -> None:
    found = mistype(text, Random(seed))
    assert found == mistype(text, Random(seed))
    if found is None:
        assert not any(a.isalpha() and b.isalpha() and a != b for a, b in pairwise(text))
        return
    differ = [at for at, (a, b) in enumerate(zip(text, found, strict=True)) if a != b]
    assert differ == [differ[0], differ[0] + 1] and sorted(text) == sorted(found)


@given(st.lists(st.text("ab", min_size=1, max_size=3), max_size=6), st.integers())
def test_swapped_words_are_the_same_words(words: Sequence[str], seed: int) -> None:
    found = swap_words(" ".join(words), Random(seed))
    if found is None:
        assert len(set(words)) < 2
    else:
        assert sorted(found.split(" ")) == sorted(words) and found != " ".join(words)
