"""A model's metadata says its domain: the installed one, or its JSON Schemas; never a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivecoach.domain import Domain
from drivecoach.domains.load import load_domain
from drivecoach.domains.stored import find_domain, metadata
from drivecoach.errors import InputError, ModelError
from tests.support.thermostat import THERMOSTAT, Command, Reading


def test_an_installed_domain_is_found_by_name() -> None:
    for name in ("driving", "text"):
        found = find_domain(metadata(load_domain(name)), "model.gguf")
        assert found.domain is load_domain(name)
        assert found.note == ""


def test_a_domain_that_is_not_installed_is_checked_by_its_schemas_and_says_so() -> None:
    found = find_domain(metadata(THERMOSTAT), "model.gguf")
    assert "'thermostat' is not installed" in found.note
    assert "invariants are not checked" in found.note
    line = THERMOSTAT.write_input(Reading(room="kitchen", temperature=18, window_open=False))
    assert found.domain.write_input(found.domain.read_input(line)) == line
    answer = THERMOSTAT.write_answer(Command(action="off", level=0, steps=[]))  # type: ignore[arg-type]
    assert found.domain.write_answer(found.domain.read_answer(answer)) == answer
    with pytest.raises(InputError):
        found.domain.read_answer('{"action": "cool", "level": 0, "steps": []}')
    assert not found.domain.has_invariants


def test_a_domain_that_writes_its_own_way_leaves_texts_as_they_are() -> None:
    fields = {**metadata(load_domain("driving")), "drivecoach.domain": "another-school"}
    found = find_domain(fields, "model.gguf")
    text = "<特征>场地类型:科目二</特征>"
    assert found.domain.write_input(found.domain.read_input(text)) == text
    with pytest.raises(InputError):
        found.domain.read_answer('{"动作": []}')


@pytest.mark.parametrize("name", ["evil.py:domain", "../x.py", "/etc/x.py:d", "a:b", "", None, 3, "a,b.json"])
def test_a_model_never_names_a_file(name: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
    with pytest.raises(ModelError, match="does not say which domain") as caught:
        find_domain({"drivecoach.domain": name}, "model.gguf")
    assert "--domain" in caught.value.hint


def test_a_name_without_schemas_needs_the_domain() -> None:
    with pytest.raises(ModelError, match="'thermostat', which is not installed"):
        find_domain({"drivecoach.domain": "thermostat"}, "model.gguf")
    with pytest.raises(ModelError, match="no JSON Schema"):
        find_domain({**metadata(THERMOSTAT), "drivecoach.answer_schema": "{"}, "model.gguf")


def test_an_override_wins_and_a_changed_domain_is_noticed() -> None:
    fields = metadata(THERMOSTAT)
    found = find_domain(fields, "model.gguf", "text")
    assert found.domain is load_domain("text")
    assert "inputs and answers" in found.note
    stored = metadata(Domain("text", Reading, str))
    assert "other inputs than the domain 'text'" in find_domain(stored, "model.gguf").note
    described = dict(metadata(load_domain("driving")))
    described["drivecoach.answer_schema"] = str(described["drivecoach.answer_schema"]).replace(
        '"description": "', '"description": "said otherwise, '
    )
    assert find_domain(described, "model.gguf").note == ""
