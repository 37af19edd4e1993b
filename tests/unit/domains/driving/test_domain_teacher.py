"""The teacher over all legal states: total, no dead rule, the counts of the table, the examples."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from drivecoach.domains.driving import DRIVING, RULES, Advice, Rule, VehicleState
from drivecoach.domains.driving.rules import SOURCES
from tests.support.driving import ATTRIBUTES, FEATURES

TABLE = Path(__file__).parents[4] / "docs" / "driving-rules.md"
EXAMPLES = Path(__file__).parents[3] / "data" / "rule_examples.jsonl"

WORKED = [  # section 6 of the rule description: values in order, rule, stage, level, actions, sentence
    (
        "科目二 非项目区域 手动挡 1挡 放下 打火 系上 关闭 未踩 未踩 未踩 适中 夜晚",
        ("E08", None, "提示", "保持车速 观察前方 使用近光灯", "车速合适，稳住往前走，开近光灯"),
    ),
    (
        "科目三 直线行驶 手动挡 3挡 放下 打火 未系 打开 未踩 未踩 踩下 适中 白天",
        (
            "A01",
            None,
            "危险",
            "松开油门 踩下刹车 踩下离合 靠边停稳 关好车门 系上安全带",
            "停车！车门开着，停稳关门系好安全带",
        ),
    ),
    (
        "科目三 通过人行横道线 自动挡 D挡 放下 打火 系上 关闭 无 未踩 踩下 过快 夜晚",
        ("A17", None, "危险", "松开油门 轻踩刹车 减速慢行", "太快了，收油点刹，减速通过"),
    ),
    (
        "科目三 起步 手动挡 空挡 拉起 打火 系上 关闭 未踩 未踩 未踩 静止 白天",
        ("D01", "T1", "提示", "踩下离合 挂1挡", "离合踩到底，挂1挡"),
    ),
    (
        "科目二 坡道定点停车和起步 手动挡 1挡 拉起 打火 系上 关闭 半联动 踩下 未踩 静止 白天",
        (
            "D06",
            "T3",
            "提示",
            "打左转向灯 观察左后方 稳住离合 放下手刹 松开刹车",
            "打左灯，离合稳住，放手刹起步",
        ),
    ),
    (
        "科目三 会车 自动挡 D挡 放下 打火 系上 关闭 无 未踩 踩下 适中 夜晚",
        (
            "E28",
            None,
            "提示",
            "松开油门 轻踩刹车 靠右行驶 保持安全距离 使用近光灯",
            "减速靠右，留足横向距离，开近光灯",
        ),
    ),
    (
        "科目三 直线行驶 手动挡 2挡 放下 打火 系上 关闭 未踩 未踩 踩下 适中 白天",
        ("B08", None, "警告", "加一挡", "挡位低了，加一挡"),
    ),
    (
        "科目三 靠边停车 手动挡 1挡 放下 打火 系上 关闭 踩下 踩下 未踩 静止 夜晚",
        ("C20", None, "提示", "拉起手刹 挂空挡 改用示廓灯", "刹车踩住，拉手刹回空挡，关大灯开示廓灯"),
    ),
]


def read(values: str) -> VehicleState:
    return VehicleState.model_validate(dict(zip(FEATURES, values.split(), strict=True)))


@pytest.mark.parametrize(("values", "expected"), WORKED)
def test_worked_examples(values: str, expected: tuple[str, str | None, str, str, str]) -> None:
    advice = DRIVING.advise(read(values))
    said = advice.instruction
    assert (advice.rule.id, advice.stage, said.level, " ".join(said.actions), said.speech) == expected


def test_the_617_examples_to_the_letter() -> None:
    rows = [json.loads(line) for line in EXAMPLES.read_text("utf-8").splitlines()]
    assert len(rows) == 617
    for row in rows:
        advice = DRIVING.advise(DRIVING.read_input(row["input"]))
        answer = json.dumps(row["instruction"], ensure_ascii=False)
        assert (advice.rule.id, DRIVING.write_answer(advice.instruction)) == (row["rule"], answer), row["input"]


def test_rules_are_the_116_of_the_table() -> None:
    groups = Counter(rule.id[0] for rule in RULES)
    assert groups == {"A": 17, "B": 22, "C": 25, "D": 20, "E": 32}
    # Sorted: a new rule has the next free number of its group, and may stand before older ones.
    assert sorted(rule.id for rule in RULES) == [
        f"{group}{n:02}" for group in "ABCDE" for n in range(1, groups[group] + 1)
    ]
    assert all(rule.reason for rule in RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_names_its_source(rule: Rule) -> None:
    named = re.findall(r"\b(?:[A-Z][A-Z0-9]+|3D)\b|条例|道交法", rule.source)
    assert set(named) <= set(SOURCES)
    assert named or "未核" in rule.source or "无扣分" in rule.source


def test_every_state_is_answered_as_often_as_the_table_says(judged: list) -> None:
    """I01 and I04: one rule for each state, no rule without a state, the counts of docs/driving-rules.md."""
    answered = Counter(entry.advice.rule.id for entry in judged)
    table = re.findall(r"^\| (\w+) \| [^|]+ \| ([\d,]+) \|", TABLE.read_text("utf-8"), re.MULTILINE)
    assert answered == {rule: int(states.replace(",", "")) for rule, states in table if rule != "id"}
    assert answered.keys() == {rule.id for rule in RULES}


def test_the_same_state_gets_the_same_answer(judged: list) -> None:
    for entry in judged[::53]:
        again = VehicleState.model_validate(entry.state.model_dump())
        assert DRIVING.advise(again) == entry.advice


def test_first_match_wins(judged: list) -> None:
    """The answer is the first rule of the whole table that holds, whatever short cut the teacher takes."""
    for entry in judged[::29]:
        assert entry.advice.rule is next(rule for rule in RULES if rule.when.test(entry.state))


def test_conditions_read_no_more_than_they_say(judged: list) -> None:
    """A rule's condition does not change when a feature that it does not read is changed."""
    for entry in judged[:: len(judged) // 400]:
        for rule in RULES:
            for feature, values in FEATURES.items():
                if feature in rule.when.reads:
                    continue
                changed = entry.state.model_copy(update={ATTRIBUTES[feature]: values[-1]})
                assert rule.when.test(changed) == rule.when.test(entry.state), (rule.id, feature)


def test_reasoning_names_what_decides_then_the_reason(judged: list) -> None:
    shown: dict[int, Advice] = {}
    for entry in judged:
        if id(entry.advice) in shown:
            continue
        shown[id(entry.advice)] = entry.advice
        text = DRIVING.reasoning(entry.state, entry.advice)
        assert "\n" not in text
        assert text.endswith("。")
        assert entry.advice.reason in text
        *facts, _ = text.partition(entry.advice.reason)[0].split("；")
        assert 1 <= len(facts) <= 3
        for feature in entry.advice.deciding:
            assert getattr(entry.state, ATTRIBUTES[feature]) in text, (feature, text)
    assert len(shown) > 1000


def test_the_deciding_features_are_those_of_the_condition() -> None:
    advice = DRIVING.advise(read(WORKED[1][0]))
    assert advice.deciding == ("安全带", "车门", "速度")
    reasoning = DRIVING.reasoning(read(WORKED[1][0]), advice)
    assert reasoning == "安全带未系，车门打开；速度适中；车在走门没关、安全带没系，人可能被甩出。"
    night = DRIVING.advise(read(WORKED[5][0]))
    assert night.light == "使用近光灯"
    assert "时间特征" in night.deciding
