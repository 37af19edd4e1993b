"""Runs that were measured: figures, wrong answers and certificates as the verbs write them, without a model."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from drivecoach.domains.driving import DRIVING
from drivecoach.evaluate.figures import FOLDER, save
from drivecoach.evaluate.result import Cell as MapCell
from drivecoach.evaluate.result import Confusion, Figures, Gravest, Measured, Rate, Speed, SplitFigures, Wrong
from drivecoach.files import sha256
from drivecoach.verify import certificate as paper
from drivecoach.verify.certificate import Cell, Certificate, Counterexample, Digests

_APART = 997


def states(count: int) -> list[Any]:
    """Legal states, far apart."""
    return list(islice(DRIVING.inputs(), 0, _APART * count, _APART))


def rule(state: Any) -> str:
    """Which rule answers it."""
    why = DRIVING.explain(state)
    assert why is not None
    return why.rule


def spoiled(state: Any) -> dict[str, Any]:
    """A wrong answer: the right one, said otherwise and at the mildest level."""
    right = DRIVING.answer.dump(DRIVING.teach(state))
    assert isinstance(right, dict)
    return {**right, "级别": "提示", "话术": "一切正常<b>"}


def write_figures(run: Path, gguf: Path, asked: Mapping[str, Sequence[Any]], wrong: Collection[str]) -> None:
    """Figures of the model ``gguf`` that answered these states, the inputs in ``wrong`` wrongly."""
    splits = [_split(name, here, wrong) for name, here in asked.items()]
    lines = [
        Wrong(
            split=name,
            constrained=False,
            input=DRIVING.write_input(state),
            rule=rule(state),
            map=state.item,
            wrong=["answer", "话术"],
            expected=DRIVING.answer.dump(DRIVING.teach(state)),
            given=spoiled(state),
            said="…",
            reason="",
        )
        for name, here in asked.items()
        for state in here
        if DRIVING.write_input(state) in wrong
    ]
    figures = Figures(
        made="2026-01-01T00:00:00+00:00",
        target=Measured(name=gguf.name, kind="gguf", digest=sha256(gguf), bytes=gguf.stat().st_size, domain="driving"),
        map_by="当前项目",
        splits=splits,
        behaviours=[],
        speed=Speed(rows=3, milliseconds=9.5, prompt_tokens=20, answer_tokens=9),
    )
    save(run / FOLDER, figures, lines, "")


def _split(name: str, here: Sequence[Any], wrong: Collection[str]) -> SplitFigures:
    bad = [state for state in here if DRIVING.write_input(state) in wrong]
    exact = Rate.of(len(here) - len(bad), len(here))
    whole = Rate.of(len(here), len(here))
    cells = {(rule(state), state.item): [0, 0] for state in here}
    for state in here:
        cells[rule(state), state.item][0] += state not in bad
        cells[rule(state), state.item][1] += 1
    return SplitFigures(
        split=name,
        constrained=False,
        exact=exact,
        wrong_at_most=exact.missing_at_most,
        fields={"话术": exact},
        order_free={"动作": whole},
        confusion=Confusion(levels=list(DRIVING.levels), rows=[[1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0]]),
        gravest=Gravest(level="危险", recall=exact, precision=whole, lowered=len(bad)),
        below=len(bad),
        violations={},
        violating=Rate.of(0, len(here)),
        json_valid=whole,
        schema_valid=whole,
        cut=0,
        failed=0,
        by_rule={},
        by_map={},
        by_value={"车门": {"打开": exact}},
        cells=[MapCell(rule=id, value=item, exact=Rate.of(*counts)) for (id, item), counts in cells.items()],
    )


def write_certificate(run: Path, gguf: Path, asked: Sequence[Any], wrong: Collection[str], inputs: str = "a") -> None:
    """A certificate of ``gguf``, as if the domain had no inputs but ``asked``; ``inputs`` is what they are known by."""
    folder = run / paper.FOLDER
    folder.mkdir(exist_ok=True)
    bad = [state for state in asked if DRIVING.write_input(state) in wrong]
    found = [
        Counterexample(
            input=DRIVING.write_input(state),
            expected=DRIVING.answer.dump(DRIVING.teach(state)),
            given=spoiled(state),
            rule=rule(state),
            item=state.item,
            lowered=DRIVING.teach(state).level == "危险",
            below=True,
            violations=["I01"],
            log_probability=-0.1,
        )
        for state in bad
    ]
    digest = paper.write_counterexamples(found, folder)
    places = [(rule(state), state.item) for state in asked]
    cells = [
        Cell(
            rule=id,
            item=item,
            states=places.count((id, item)),
            wrong=sum((one.rule, one.item) == (id, item) for one in found),
            lowered=sum((one.rule, one.item) == (id, item) and one.lowered for one in found),
        )
        for id, item in dict.fromkeys(places)
    ]
    certificate = Certificate(
        date=datetime(2026, 1, 1, tzinfo=UTC),
        drivecoach="0.1.0",
        engine="xllamacpp 1",
        target=gguf.name,
        domain="driving",
        digests=Digests(
            model=sha256(gguf), template="b", rules="c", domain="d", inputs=inputs, counterexamples=digest
        ),
        states=len(asked),
        wrong=len(found),
        below=len(found),
        lowered=sum(one.lowered for one in found),
        violations={"I01": len(found)} if found else {},
        valid=len(asked) - len(found),
        rules={},
        items={},
        cells=cells,
        clean=not found,
    )
    paper.write(certificate, folder)
