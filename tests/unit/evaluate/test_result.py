"""Intervals and the paired test against SciPy's; what is written is read back."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("scipy")

from scipy import stats

from drivecoach.evaluate.result import Paired, Rate, file_name, paired

COUNTS = st.integers(1, 300_000).flatmap(lambda rows: st.tuples(st.integers(0, rows), st.just(rows)))


@given(COUNTS)
def test_the_interval_is_wilsons(counts: tuple[int, int]) -> None:
    count, rows = counts
    found, expected = Rate.of(count, rows), stats.binomtest(count, rows).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == (pytest.approx(expected.low, abs=1e-9), pytest.approx(expected.high, abs=1e-9))
    assert found.low <= found.share <= found.high and found.share == count / rows


def test_where_nothing_is_wrong_the_bound_is_the_rule_of_three() -> None:
    for rows in (100, 1000, 292_352):
        bound = Rate.of(rows, rows).missing_at_most
        assert bound == pytest.approx(3 / rows, rel=0.02)
        assert (1 - bound) ** rows == pytest.approx(0.05), "so seldom would nothing be seen"
    assert Rate.of(99, 100).missing_at_most > 0.01
    with pytest.raises(ValueError, match="rows"):
        Rate.of(0, 0)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=200))
def test_the_paired_test_is_mcnemars_exact_one(pairs: list[tuple[bool, bool]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    found, other = paired(first, second), paired(second, first)
    assert (found.first, found.second, found.p_value) == (other.second, other.first, other.p_value)
    assert found.both + found.first + found.second <= found.rows == len(pairs)
    discordant = found.first + found.second
    expected = stats.binomtest(found.first, discordant).pvalue if discordant else 1.0
    assert found.p_value == pytest.approx(expected)


def test_a_difference_that_chance_explains_is_none_and_a_large_one_is() -> None:
    few = paired([True] * 3 + [False], [False] * 3 + [True])
    many = paired([True] * 30, [False] * 20 + [True] * 10)
    assert not few.differ and many.differ and math.isclose(many.p_value, 2 * 0.5**20)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    found = paired([True, False], [True, True])
    found.write(tmp_path / "found.json")
    assert Paired.model_validate_json((tmp_path / "found.json").read_bytes()) == found
    assert file_name("figures.json") == "figures.json"
    assert file_name("figures.json", "q8_0") == "figures-q8_0.json"
