"""The generic seam: text round trips, token pieces, schemas, and a quick import without torch."""

from __future__ import annotations

import re
import subprocess
import sys

from drivecoach.domains import driving as domain


def test_all_is_sorted_and_complete() -> None:
    constants = [name for name in domain.__all__ if name.isupper()]
    classes = [name for name in domain.__all__ if name[0].isupper() and name not in constants]
    functions = [name for name in domain.__all__ if name[0].islower()]
    assert domain.__all__ == sorted(constants) + sorted(classes) + sorted(functions)
    assert all(hasattr(domain, name) for name in domain.__all__)


def test_texts_round_trip(judged: list) -> None:
    for entry in judged[::211]:
        line, answer = domain.write_input(entry.state), domain.write_answer(entry.advice.instruction)
        assert domain.read_input(line) == entry.state
        assert domain.read_answer(answer) == entry.advice.instruction


def test_brief_asks_for_the_three_keys() -> None:
    assert domain.NAME == "driving"
    assert re.search("JSON.*动作.*级别.*话术", domain.SYSTEM)


def test_pieces_take_every_line_and_answer_apart(judged: list) -> None:
    """Cut at the longest piece from left to right: 14 tokens a line, about 15 an answer, no rest."""
    pieces = domain.vocabulary()
    assert len(set(pieces)) == len(pieces)
    cut = re.compile("|".join(map(re.escape, sorted(pieces, key=len, reverse=True))))
    advices = {id(entry.advice): entry.advice for entry in judged}
    lengths, used = [], set()
    for advice in advices.values():
        answer = domain.write_answer(advice.instruction)
        tokens = cut.findall(answer)
        assert "".join(tokens) == answer
        lengths.append(len(tokens))
        used.update(tokens)
    for entry in judged[::97]:
        line = domain.write_input(entry.state)
        tokens = cut.findall(line)
        assert "".join(tokens) == line
        assert len(tokens) == 14
        used.update(tokens)
    assert sum(lengths) / len(lengths) < 15
    assert max(lengths) < 20
    assert set(pieces) == used


def test_schemas_are_named_files() -> None:
    schemas = domain.schemas()
    assert sorted(schemas) == ["instruction.schema.json", "vehicle_state.schema.json"]
    assert schemas["instruction.schema.json"] == domain.answer_schema()


def test_import_brings_no_heavy_library() -> None:
    code = "import sys, drivecoach.domains.driving; print({'torch', 'transformers', 'numpy'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
