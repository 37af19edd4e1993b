"""The domain object: text round trips, records, scores, token pieces, replies, and a quick import without torch."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys

import pytest

from drivecoach.domains import driving
from drivecoach.domains.driving import DRIVING, Answer, Instruction
from drivecoach.errors import InputError


def test_all_is_sorted_and_complete() -> None:
    constants = [name for name in driving.__all__ if name.isupper()]
    classes = [name for name in driving.__all__ if name[0].isupper() and name not in constants]
    assert driving.__all__ == sorted(constants) + sorted(classes)
    assert all(hasattr(driving, name) for name in driving.__all__)


def test_texts_round_trip(judged: list) -> None:
    for entry in judged[::211]:
        line, answer = DRIVING.write_input(entry.state), DRIVING.write_answer(entry.advice.instruction)
        assert DRIVING.read_input(line) == entry.state
        assert DRIVING.read_answer(answer) == entry.advice.instruction


def test_brief_asks_for_the_three_keys() -> None:
    assert DRIVING.name == "driving"
    assert re.search("JSON.*动作.*级别.*话术", DRIVING.system)


def test_pieces_take_every_line_and_answer_apart(judged: list) -> None:
    """Cut at the longest piece from left to right: 14 tokens a line, about 15 an answer, no rest."""
    pieces = DRIVING.vocabulary()
    assert len(set(pieces)) == len(pieces)
    cut = re.compile("|".join(map(re.escape, sorted(pieces, key=len, reverse=True))))
    advices = {id(entry.advice): entry.advice for entry in judged}
    lengths, used = [], set()
    for advice in advices.values():
        answer = DRIVING.write_answer(advice.instruction)
        tokens = cut.findall(answer)
        assert "".join(tokens) == answer
        lengths.append(len(tokens))
        used.update(tokens)
    for entry in judged[::97]:
        line = DRIVING.write_input(entry.state)
        tokens = cut.findall(line)
        assert "".join(tokens) == line
        assert len(tokens) == 14
        used.update(tokens)
    assert sum(lengths) / len(lengths) < 15
    assert max(lengths) < 20
    assert set(pieces) == used


def test_schemas_are_named_files() -> None:
    schemas = DRIVING.schemas()
    assert sorted(schemas) == ["instruction.schema.json", "vehicle_state.schema.json"]
    assert schemas["instruction.schema.json"] == DRIVING.answer.schema
    assert "$ref" not in json.dumps(schemas)


def test_records_by_chinese_or_english_names_and_json_are_read(judged: list) -> None:
    chinese, english = DRIVING.record_keys()
    assert (chinese[0], english[0], len(chinese), len(english)) == ("场地类型", "site", 13, 13)
    for entry in judged[::9973]:
        for by_alias in (True, False):
            record = entry.state.model_dump(by_alias=by_alias)
            assert DRIVING.read_input(DRIVING.record_text(record)) == entry.state
            assert DRIVING.read_input(json.dumps(record)) == entry.state


def test_a_record_is_read_as_tolerantly_as_a_line() -> None:
    values = "科目三 直线行驶 自动挡 Ｄ挡 放下 打火 系上 关闭 未踩 未踩 踩下 适中 白天"
    record = dict(zip(DRIVING.features, values.split(" "), strict=True))
    state = DRIVING.read_input(json.dumps(record))
    assert (state.gear, state.clutch) == ("D挡", "无")
    record |= {"速度": 3, "挡位": "1挡", "转速": "800"}
    del record["车门"]
    with pytest.raises(InputError) as caught:
        DRIVING.read_input(json.dumps(record))
    found = {fault.where: fault.found for fault in caught.value.faults}
    assert found == {"速度": "3", "挡位": "1挡", "转速": "800", "车门": "missing"}


FOREIGN = ['{"temperature": 3, "window": "open"}', "temperature:3; window:open", "{}", "[1]", ""]


@pytest.mark.parametrize("text", FOREIGN)
def test_a_text_of_another_domain_is_one_fault(text: str) -> None:
    with pytest.raises(InputError) as caught:
        DRIVING.read_input(text)
    assert [fault.where for fault in caught.value.faults] == ["VehicleState"]
    assert caught.value.hint


def test_a_lower_level_errs_on_the_dangerous_side() -> None:
    hint, warning, danger = (
        Instruction(actions=("松开油门",), level=level, speech="松油门") for level in ("提示", "警告", "危险")
    )
    below = [(hint, warning), (hint, danger), (warning, danger)]
    for given, right in itertools.product((hint, warning, danger), repeat=2):
        assert DRIVING.is_below(given, right) == ((given, right) in below)


def test_a_reply_is_the_instruction_and_tells_more(judged: list) -> None:
    said = judged[0].advice.instruction
    broken = DRIVING.violations(judged[0].state, Instruction(actions=("加一挡",), level="提示", speech="加一挡"))
    reply = DRIVING.reply(said, violations=broken, latency=0.5, source="rules")
    assert isinstance(reply, Answer)
    assert (reply.violations, reply.latency, reply.source) == (tuple(broken), 0.5, "rules")
    assert broken and reply == said and said == reply and hash(reply) == hash(said)
    assert DRIVING.write_answer(reply) == DRIVING.write_answer(said)
    assert DRIVING.violations(judged[0].state, reply) == []


def test_uniform_states_come_with_the_right_answers() -> None:
    few = DRIVING.uniform(50, without=())
    assert len({line for line, _ in few}) == 50
    assert all(answer == DRIVING.teach(DRIVING.read_input(line)) for line, answer in few)
    line = few[0][0]
    assert line not in dict(DRIVING.uniform(50, without={line}))


def test_import_brings_no_heavy_library() -> None:
    code = "import sys, drivecoach.domains.driving; print({'torch', 'transformers', 'numpy'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
