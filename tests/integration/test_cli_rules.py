"""`drivecoach explain` and `rules`: why an input gets its answer, and all the rules in every form."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from openpyxl import load_workbook

from drivecoach.chat import Chat
from drivecoach.domain import changes
from drivecoach.domains.driving import DRIVING, RULES
from tests.support.command import Run, refused
from tests.support.driving import draw_from_few_states, lines
from tests.support.scripted_model import write_scripted_gguf

THERMOSTAT = f"{Path(__file__).parents[1] / 'support/thermostat.py'}:THERMOSTAT"


def test_explain_says_which_rule_and_what_decides(run: Run) -> None:
    for line in lines(6):
        told = json.loads(run("explain", line, "--json").out)
        state = DRIVING.read_input(line)
        advice = DRIVING.advise(state)
        assert (told["rule"], told["reason"], told["source"]) == (advice.rule.id, advice.reason, advice.rule.source)
        assert told["answer"] == DRIVING.answer.dump(advice.instruction) and told["model"] is None
        read = {name: getattr(state, DRIVING.features[name].attribute) for name in advice.deciding}
        assert told["read by the rule"] == read
        shown = run("explain", line)
        assert shown.code == 0 and "no model was asked" in shown.err
        for text in (advice.rule.id, advice.reason, advice.rule.source, advice.instruction.speech):
            assert text in shown.out


def test_a_named_change_changes_the_answer_and_no_other_does(run: Run) -> None:
    for line in lines(4):
        state = DRIVING.read_input(line)
        told = json.loads(run("explain", line, "--json").out)
        found = {(change["field"], value): change for change in told["one change alone"] for value in change["values"]}
        assert found
        for name, feature in DRIVING.features.items():
            for value in feature.values:
                changed = re.sub(f"{name}:[^;<]+", f"{name}:{value}", line)
                if changed == line or state.contradictions({**DRIVING.input.dump(state), name: value}):  # type: ignore[dict-item]
                    continue
                advice = DRIVING.advise(DRIVING.read_input(changed))
                change = found.get((name, value))
                assert (change is None) == (advice.instruction == DRIVING.teach(state))
                if change:
                    assert (change["rule"], change["answer"]["话术"]) == (advice.rule.id, advice.instruction.speech)


def test_explain_where_a_domain_knows_less(run: Run) -> None:
    reading = "room:kitchen; temperature:18; window open:false"
    shown = run("explain", reading, "--domain", THERMOSTAT)
    assert shown.code == 0 and "does not name its rules" in shown.out and "window open" in shown.out
    refused(run("explain", "hello", "--domain", "text"), "the domain text has no rules", "drivecoach ask")
    refused(run("rules", "--domain", THERMOSTAT), "has no table of rules")
    refused(run("explain", "<特征>挡位:9挡</特征>"), "9挡", "手刹: missing")


def test_the_rules_are_a_table_in_every_form(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_from_few_states(monkeypatch)
    rows = json.loads(run("rules", "--json").out)
    assert [row["id"] for row in rows] == [rule.id for rule in RULES]
    assert sum(row["states"] for row in rows) == 3000
    assert all(row["话术"] and row["source"] and row["理由"] and row["动作"] for row in rows)
    shown = run("rules")
    assert shown.code == 0 and all(rule.id in shown.out for rule in RULES)
    result = run("rules", "--html", "new/rules.html", "--xlsx", "rules.xlsx")
    assert (result.code, result.out) == (0, "") and "rules.xlsx: 116 rules" in result.err
    page = (tmp_path / "new/rules.html").read_text(encoding="utf-8")
    sheet = load_workbook(tmp_path / "rules.xlsx")["rules"]
    written = [["" if cell.value is None else cell.value for cell in row] for row in sheet.iter_rows(min_row=2)]
    assert written == [list(row.values()) for row in rows]
    for row in rows:
        assert f"<td>{row['id']}</td>" in page and row["理由"] in page
    refused(run("rules", "--html", "a", "--xlsx", "a"), "a file that --html writes")
    refused(run("rules", "--html", "/dev/null"), "a device")


def test_what_the_model_says_stands_beside_the_rules(run: Run, tmp_path: Path) -> None:
    said = '{"动作": ["松开油门"], "级别": "提示", "话术": "还没起步，别空轰油门，开近光灯"}'
    gguf = write_scripted_gguf(tmp_path / "coach.gguf", said, chat=Chat(DRIVING.system))
    told = [json.loads(run("explain", line, "--model", gguf, "--json").out) for line in lines(3)]
    for one in told:
        assert one["model"]["answer"] == json.loads(said) != one["answer"]
        parts = {part for part in one["answer"] if one["answer"][part] != one["model"]["answer"][part]}
        assert set(one["model"]["differs in"]) - {"answer", "safe"} == parts
    shown = run("explain", lines(1)[0], "--model", gguf)
    assert shown.code == 0 and "the model says" in shown.out and "别空轰油门" in shown.out and shown.err == ""
    refused(run("explain", lines(1)[0], "--model", "none.gguf"), "none.gguf")


def test_changes_need_no_rules() -> None:
    from tests.support.thermostat import THERMOSTAT as domain

    value = domain.read_input("room:kitchen; temperature:18; window open:false")
    (change,) = changes(domain, value)
    assert (change.field, change.values, change.rule, change.answer.action) == ("window open", ("true",), "", "off")
