"""A certificate's seal, and the arithmetic of coverage against risk, for whatever numbers."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from drivecoach.verify.certificate import Certificate, Counts, Digests
from drivecoach.verify.coverage import at, choose, curve

ONE = Certificate(
    date=datetime(2026, 2, 3, tzinfo=UTC),
    drivecoach="0.1.0",
    engine="xllamacpp 1",
    target="m.gguf",
    domain="crossing",
    digests=Digests(**dict.fromkeys(Digests.model_fields, "0" * 64)),
    states=1000,
    wrong=3,
    below=1,
    lowered=1,
    violations={"V1": 2},
    valid=998,
    rules={"R1": Counts(states=1000, wrong=3, lowered=1, violations=2)},
    items={},
    cells=[],
    clean=False,
).sealed()


@given(st.sampled_from(["states", "wrong", "below", "lowered", "valid"]), st.integers(0, 2000))
def test_a_number_that_is_edited_breaks_the_seal(name: str, value: int) -> None:
    edited = ONE.model_copy(update={name: value})
    assert edited.is_sealed == (getattr(ONE, name) == value)
    assert ONE.is_sealed and Certificate.model_validate_json(ONE.model_dump_json()).is_sealed


def test_one_line_says_what_a_person_who_deploys_wants_to_know() -> None:
    assert str(ONE) == (
        "3 of all 1,000 states of crossing answered wrong (99.700% right), 1 lowered dangers, "
        "2 invariant violations (2026-02-03)"
    )


answers = st.lists(
    st.tuples(st.floats(-50, 0), st.booleans(), st.booleans()).map(lambda one: (one[0], one[1] or one[2], one[2])),
    min_size=1,
    max_size=200,
)


@given(answers)
def test_no_lowered_danger_passes_the_threshold_and_the_curve_adds_up(found: list[tuple[float, bool, bool]]) -> None:
    threshold = choose(found)
    kept = at(found, threshold.min_confidence)
    assert kept.lowered == 0 or threshold.answered == 0
    assert threshold.answered == (kept.answered if threshold.answered else 0)
    if threshold.answered:
        assert (1 - threshold.lowered_at_most) ** threshold.answered < 0.0501  # the rule of three
        if any(lowered for _, _, lowered in found):  # one answer more would let one pass
            below = [sure for sure, _, _ in found if sure < threshold.min_confidence]
            assert at(found, max(below)).lowered
    drawn = curve(found)
    assert drawn.points[0].answered == drawn.states == len(found)
    assert drawn.points[0].wrong == sum(wrong for _, wrong, _ in found)
    for before, after in zip(drawn.points, drawn.points[1:], strict=False):
        assert before.answered > after.answered and before.wrong >= after.wrong
        assert before.min_confidence <= after.min_confidence
