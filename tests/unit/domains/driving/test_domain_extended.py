"""Extending the driving domain from outside: the example of a driving school, and models and rules that do not fit."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field

from drivecoach.config import load_recipe
from drivecoach.domains.driving import (
    DRIVING,
    RULES,
    Answer,
    DrivingDomain,
    Instruction,
    InstructionOf,
    Rule,
    VehicleState,
)
from drivecoach.domains.driving.conditions import 停, 动, 打火, 是, 过快
from drivecoach.domains.driving.draw import Space
from drivecoach.domains.driving.plan import when
from drivecoach.domains.driving.words import Action
from drivecoach.domains.load import load_domain
from drivecoach.errors import AnswerError, Fault, InputError, RecipeError

SCHOOL: Any = load_domain(str(Path(__file__).parents[4] / "examples" / "driving-school" / "school.py") + ":SCHOOL")
SNOW = (
    "<特征>场地类型:科目三; 当前项目:直线行驶; 车辆类型:手动挡; 挡位:3挡; 手刹:放下; 发动机:打火; 安全带:系上; "
    "车门:关闭; 离合:未踩; 刹车:未踩; 油门:踩下; 速度:过快; 时间特征:白天; 天气:雪</特征>"
)
PARKED = (
    "<特征>场地类型:科目三; 当前项目:靠边停车; 车辆类型:手动挡; 挡位:空挡; 手刹:拉起; 发动机:熄火; 安全带:系上; "
    "车门:关闭; 离合:未踩; 刹车:未踩; 油门:未踩; 速度:静止; 时间特征:白天; 天气:雨</特征>"
)


@pytest.fixture(scope="module")
def sample() -> list[Any]:
    """Legal states drawn by chance, and all in which a rule of the school's own may hold."""
    chance, features = random.Random(1), SCHOOL.features
    choices: list[dict[str, Sequence[str]]] = [{name: known.values for name, known in features.items()}] * 4000
    sound = {"发动机": ["打火"], "安全带": ["系上"], "车门": ["关闭"], "手刹": ["放下"], "天气": ["雨", "雪"]}
    choices += [{**choices[0], **sound}] * 2000
    parked = {"当前项目": ["靠边停车"], "速度": ["静止"], "发动机": ["熄火"], "手刹": ["拉起"], "挡位": ["空挡", "P挡"]}
    choices += [{**choices[0], **parked}] * 500
    slow = {"速度": ["过慢"], "当前项目": ["直线行驶", "超车"], "挡位": ["2挡", "D挡"], "刹车": ["未踩"]}
    choices += [{**choices[0], **sound, **slow, "离合": ["未踩", "无"]}] * 500
    states = {}
    for choice in choices:
        values = {name: chance.choice(list(allowed)) for name, allowed in choice.items()}
        if not SchoolState.contradictions(values):
            state = SchoolState.model_validate(values)
            states[SCHOOL.write_input(state)] = state
    assert len(states) > 400
    return list(states.values())


SchoolState: Any = SCHOOL.state


def test_the_walk_has_every_weather_for_every_legal_state() -> None:
    walk = SCHOOL.inputs()
    first = [next(walk) for _ in range(9)]
    assert [state.weather for state in first] == ["晴", "雨", "雪"] * 3
    shipped = DRIVING.inputs()
    for same in (first[:3], first[3:6]):
        assert {SCHOOL.write_input(state).partition("; 天气")[0] for state in same} == {
            DRIVING.write_input(next(shipped)).removesuffix("</特征>")
        }
    assert SCHOOL.is_finite and SCHOOL.has_teacher and SCHOOL.has_invariants


def test_no_instruction_of_the_school_breaks_an_invariant(sample: list[Any]) -> None:
    used = Counter(SCHOOL.advise(state).rule.id for state in sample)
    assert {"W01", "W02", "W03"} <= used.keys()
    broken = Counter(found for state in sample for found in SCHOOL.violations(state, SCHOOL.teach(state)))
    assert not broken


def test_in_clear_weather_the_shipped_rules_answer(sample: list[Any]) -> None:
    for state in sample:
        if state.weather == "晴":
            same = DRIVING.advise(VehicleState.model_validate(state.model_dump(exclude={"weather"})))
            found = SCHOOL.advise(state)
            assert (found.rule, SCHOOL.write_answer(found.instruction)) == (
                same.rule,
                DRIVING.write_answer(same.instruction),
            )


def test_nothing_dangerous_becomes_milder(sample: list[Any]) -> None:
    for state in sample:
        shipped = DRIVING.teach(VehicleState.model_validate(state.model_dump(exclude={"weather"})))
        taught = SCHOOL.teach(state)
        assert shipped.level != "危险" or taught.level == "危险", SCHOOL.write_input(state)


@pytest.mark.parametrize(("line", "rule"), [(SNOW, "W01"), (PARKED, "W03")])
def test_own_rules_come_first_moving_or_still(line: str, rule: str) -> None:
    advice = SCHOOL.advise(SCHOOL.read_input(line))
    assert advice.rule.id == rule
    assert "打开双闪" in advice.instruction.actions
    assert "天气" in advice.deciding
    assert re.search("天气[雨雪]", SCHOOL.reasoning(SCHOOL.read_input(line), advice))


def test_lines_and_records_round_trip(sample: list[Any]) -> None:
    assert SCHOOL.record_keys()[0][-1] == "天气" and SCHOOL.record_keys()[1][-1] == "weather"
    for state in sample[::7]:
        assert SCHOOL.read_input(SCHOOL.write_input(state)) == state
        for by_alias in (True, False):
            assert SCHOOL.read_input(SCHOOL.record_text(state.model_dump(by_alias=by_alias))) == state
        answer = SCHOOL.teach(state)
        assert SCHOOL.read_answer(SCHOOL.write_answer(answer)) == answer


def test_each_side_names_what_the_other_has() -> None:
    with pytest.raises(InputError) as caught:
        SCHOOL.read_input(SNOW.replace("天气:雪", "天气:雹"))
    assert caught.value.faults == (Fault("天气", "雹", "晴, 雨, 雪"),)
    with pytest.raises(InputError) as caught:
        DRIVING.read_input(SNOW)
    assert [fault.where for fault in caught.value.faults] == ["天气"]
    flashing = SCHOOL.write_answer(SCHOOL.teach(SCHOOL.read_input(SNOW)))
    with pytest.raises(InputError) as caught:
        DRIVING.read_answer(flashing)
    assert [fault.found for fault in caught.value.faults] == ["打开双闪"]


def test_the_closed_set_of_the_school_is_judged_by() -> None:
    state = SCHOOL.read_input(SNOW)
    made = SCHOOL.instruction.model_construct(actions=("松开油门", "轻踩刹车", "亮红灯"), level="危险", speech="慢")
    assert "I02" in [found.id for found in SCHOOL.violations(state, made)]


def test_schemas_and_pieces_follow_the_models(sample: list[Any]) -> None:
    assert sorted(SCHOOL.schemas()) == ["school_instruction.schema.json", "school_state.schema.json"]
    assert SCHOOL.identity() != DRIVING.identity()
    actions = SCHOOL.answer.schema["properties"]["动作"]["items"]["enum"]
    assert set(actions) - set(DRIVING.answer.node.fields["动作"].items.values) == {"打开双闪"}  # type: ignore[union-attr]
    cut = re.compile("|".join(map(re.escape, sorted(SCHOOL.vocabulary(), key=len, reverse=True))))
    for state in sample[::5]:
        line, answer = SCHOOL.write_input(state), SCHOOL.write_answer(SCHOOL.teach(state))
        assert "".join(cut.findall(line)) == line and len(cut.findall(line)) == 15
        assert "".join(cut.findall(answer)) == answer and len(cut.findall(answer)) < 20


def test_pairs_of_the_school_are_drawn(sample: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    space = Space(sample, SCHOOL.advise, SCHOOL.write_input)
    monkeypatch.setitem(vars(SCHOOL), "space", space)
    pairs = SCHOOL.draw(300, 1)
    groups = Counter(pair.group for pair in pairs)
    assert len({SCHOOL.write_input(pair.input) for pair in pairs}) == 300
    assert {"W01", "W02", "W03"} <= groups.keys()
    assert all(pair.answer == SCHOOL.teach(pair.input) and pair.thinking.endswith("。") for pair in pairs)
    card = SCHOOL.card("school.json", {"pairs": 300, "seed": 1, "bytes": 1000}, groups)
    assert f"{len(sample):,} legal states" in card and "`school`" in card and "article" not in card


def test_a_reply_holds_the_schools_actions() -> None:
    said = SCHOOL.teach(SCHOOL.read_input(SNOW))
    reply = SCHOOL.reply(said, violations=(), latency=0.1, source="model")
    assert isinstance(reply, SCHOOL.instruction) and not isinstance(reply, Answer)
    assert reply == said and reply.source == "model" and json.loads(SCHOOL.write_answer(reply))


# --- what does not fit ---


def rule(id: str, **changes: Any) -> Rule:
    given: dict[str, Any] = {"when": 动, "level": "提示", "do": ("观察前方",), "reason": "理由", "say": "看前方"}
    return Rule(id=id, source="未核", **{**given, **changes})


def refused(*own: Rule) -> tuple[Fault, ...]:
    with pytest.raises(RecipeError) as caught:
        DrivingDomain("own", VehicleState, Instruction, rules=(*own, *RULES))
    assert caught.value.hint
    return caught.value.faults


def test_every_rule_that_does_not_fit_is_named_with_its_action_or_feature() -> None:
    weather = 是("天气", "雪", of=SCHOOL.state)
    found = refused(rule("X1", do=("观察前方", when(打火, "飞起来"))), rule("X2", when=动 & weather), rule("A01"))
    assert {fault.where: fault.found for fault in found} == {
        "X1": "action 飞起来",
        "X2": "feature 天气",
        "A01": "2 rules with this id",
    }


def test_the_steps_of_pulling_away_need_their_actions_too() -> None:
    class Few(InstructionOf[Literal["观察前方", "观察左右"]]):
        """Hardly anything."""

    with pytest.raises(RecipeError) as caught:
        DrivingDomain("few", VehicleState, Few, rules=[rule("X1")])
    assert {"T1", "lights"} <= {fault.where for fault in caught.value.faults}
    assert "X1" not in {fault.where for fault in caught.value.faults}


def test_a_rule_whose_sentence_is_too_long_is_named_when_it_speaks() -> None:
    domain = DrivingDomain("own", VehicleState, Instruction, rules=(rule("X1", say="看" * 40), *RULES))
    moving = next(state for state in domain.inputs() if state.speed != "静止")
    with pytest.raises(RecipeError, match="X1") as caught:
        domain.teach(moving)
    assert [fault.where for fault in caught.value.faults] == ["话术"]


def test_a_state_without_a_rule_is_said() -> None:
    domain = DrivingDomain("own", VehicleState, Instruction, rules=[rule("X1", when=停 & 过快)])
    with pytest.raises(AnswerError, match="no rule") as caught:
        domain.teach(next(domain.inputs()))
    assert caught.value.hint


def test_conditions_name_what_there_is() -> None:
    with pytest.raises(RecipeError, match="no car has") as caught:
        是("天气", "雪")
    assert [fault.where for fault in caught.value.faults] == ["天气"]
    with pytest.raises(RecipeError) as caught:
        是("天气", "雹", of=SCHOOL.state)
    assert caught.value.faults == (Fault("天气", "雹", "晴, 雨, 雪"),)


def test_a_feature_is_a_closed_set_of_texts() -> None:
    class Fast(VehicleState):
        kmh: int = Field(alias="时速")

    with pytest.raises(RecipeError) as caught:
        DrivingDomain("fast", Fast, Instruction)
    assert [fault.where for fault in caught.value.faults] == ["Fast.kmh"]


def test_own_contradictions_hold_in_the_walk_in_lines_and_in_the_model() -> None:
    class Dry(VehicleState):
        weather: Literal["晴", "雨"] = Field(alias="天气")

        @classmethod
        def contradictions(cls, values: Any) -> list[Fault]:
            found = super().contradictions(values)
            if values.get("天气") == "雨" and values.get("场地类型") == "科目二":
                found.append(Fault("天气", "雨", "科目二: 晴 (the site has a roof)"))
            if values.get("天气") == "雨" and values.get("车门") == "打开":
                found.append(Fault("天气", "雨", "晴 with an open door"))
            return found

    dry = DrivingDomain("dry", Dry, InstructionOf[Literal[Action, "打伞"]])  # type: ignore[valid-type]
    walk = dry.inputs()
    some = [next(walk) for _ in range(3000)]
    assert {state.weather for state in some if state.site == "科目二"} == {"晴"}
    assert len(some) == len({dry.write_input(state) for state in some})
    line = dry.write_input(some[0]).replace("天气:晴", "天气:雨")
    with pytest.raises(InputError) as caught:
        dry.read_input(line.replace("车门:关闭", "车门:打开"))
    assert len(caught.value.faults) == 2
    assert not Dry.contradictions(some[0].model_dump(by_alias=True))


def test_a_rule_that_is_put_in_leaves_the_pairs_of_the_others(judged: list[Any]) -> None:
    """Few pairs move: those that the rule takes, and as many as it brings."""
    before = [rule.id for rule in RULES].index("E25")
    school_at_night = 动 & 打火 & 是("当前项目", "通过学校区域") & 是("时间特征", "夜晚")
    night = rule("E99", when=school_at_night, say="夜里过学校，看两边")
    longer = DrivingDomain("own", VehicleState, Instruction, rules=(*RULES[:before], night, *RULES[before:]))
    states = [entry.state for entry in judged]
    rows = []
    for domain in (DRIVING, longer):
        drawn = Space(states, domain.advise, domain.write_input).draw(7799, 3407)
        rows.append([(line, domain.write_answer(domain.teach(domain.read_input(line)))) for line in drawn])
    old, new = rows
    kept = set(old) & set(new)
    brought = sum(longer.advise(longer.read_input(line)).rule is night for line, _ in new)
    assert brought > 10
    assert len(old) - len(kept) < 2 * brought
    assert [row for row in old if row in kept] == [row for row in new if row in kept]


def test_the_recipe_of_the_example_names_its_domain() -> None:
    folder = Path(__file__).parents[4] / "examples" / "driving-school"
    assert load_domain(load_recipe(folder / "recipe.yaml").domain) is SCHOOL
