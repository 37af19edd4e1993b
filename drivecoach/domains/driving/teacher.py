"""The rule teacher: one instruction for every legal state, and the reasoning that leads to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import ValidationError

from drivecoach.domains.driving.instruction import AnyInstruction, Given, actions_of
from drivecoach.domains.driving.plan import Choice, Plan, actions_in, carry_out
from drivecoach.domains.driving.rules.lights import LIGHT, LIGHTS_WANTED
from drivecoach.domains.driving.rules.rule import Rule
from drivecoach.domains.driving.rules.start import STAGES, stage_of
from drivecoach.domains.driving.state import VehicleState, features_of
from drivecoach.domains.driving.words import Level
from drivecoach.errors import AnswerError, Fault, RecipeError

T = TypeVar("T")


@dataclass(frozen=True)
class Advice(Generic[Given]):
    """What the teacher says about a state, and why."""

    rule: Rule
    instruction: Given
    stage: str | None
    """The stage of pulling away, T1-T14, for the rules that have them."""
    light: str | None
    """The night light that was added, the last action."""
    deciding: tuple[str, ...]
    """Chinese names of the features that decided, in canonical order."""

    @property
    def reason(self) -> str:
        """理由 of the rule."""
        return self.rule.reason


class Teacher(Generic[Given]):
    """Teaches the states of one model by a table of rules: the first that holds is the answer.

    Raises RecipeError, naming each rule, for rules that share an id, read features that the state model does not
    have, or ask for actions that are not in the instruction model's closed set.
    """

    def __init__(self, rules: Sequence[Rule], state: type[VehicleState], instruction: type[Given]) -> None:
        self.rules = tuple(rules)
        self._features = features_of(state)
        if faults := list(_misfits(self.rules, state, instruction)):
            hint = "add what is missing to the Literal of the model, or correct the rule"
            raise RecipeError("the rules do not fit the models", faults=faults, hint=hint)
        self._model = instruction
        # Most rules are for a still car alone or a moving one: fewer are tried for each.
        self._by_speed = {
            speed: tuple(rule for rule in self.rules if speed in rule.when.needs.get("速度", (speed,)))
            for speed in self._features["速度"].values
        }
        self._known: dict[tuple[object, ...], Advice[Given]] = {}

    def advise(self, state: VehicleState) -> Advice[Given]:
        """The first rule that holds, with the night light if due. Raises AnswerError where no rule holds."""
        rule = next((rule for rule in self._by_speed[state.speed] if rule.when.test(state)), None)
        if rule is None:
            hint = "put your own rules before the shipped ones, which answer every state: rules=(*OWN, *RULES)"
            raise AnswerError(f"no rule holds for {state!r}", hint=hint)
        level: Level = _pick(rule.level, state)
        actions = tuple(carry_out(rule.do, state))
        speech = _pick(rule.say, state)
        reads, added = rule.when.reads, None
        if isinstance(rule.level, Choice):
            reads |= rule.level.reads(state)
        stage = stage_of(state) if rule.starts else None
        if stage:
            steps = tuple(carry_out(stage.do, state))
            said = _pick(stage.say, state)
            actions, speech = (actions + steps, f"{speech}，{said}") if stage.looks else (steps, said)
            reads |= stage.when.reads
        if level == "提示" and LIGHTS_WANTED.test(state):
            light, suffix = LIGHT.pick(state)
            if light not in actions:
                actions, speech, added = (*actions, light), speech + suffix, light
                reads |= {"时间特征"} if state.time == "夜晚" else {"当前项目"}
        # One shared object per distinct advice: there are a few thousand, for hundreds of thousands of states.
        key = (rule, actions, level, speech, stage, added, reads)
        advice = self._known.get(key)
        if advice is None:
            deciding = tuple(name for name in self._features if name in reads)
            made = self._instruction(rule, actions, level, speech)
            advice = self._known[key] = Advice(rule, made, stage.id if stage else None, added, deciding)
        return advice

    def reasoning(self, state: VehicleState, advice: Advice[Given]) -> str:
        """The reasoning as one line of Chinese: the deciding features with their values, then the reason."""
        clauses = []
        where = [name for name in self._features if name not in _CAR and name not in _DRIVER]
        for group in (where, _CAR, _DRIVER):
            facts = [self._fact(state, name) for name in group if name in advice.deciding]
            if facts:
                clauses.append("，".join(facts))
        clauses.append(advice.reason)
        if advice.light:
            clauses.append(f"还要{advice.light}")
        return "；".join(clauses) + "。"

    def _instruction(self, rule: Rule, actions: tuple[str, ...], level: Level, speech: str) -> Given:
        try:
            return self._model.model_validate({"动作": actions, "级别": level, "话术": speech})
        except ValidationError as error:
            faults = [Fault(str(found["loc"][0]), str(found["input"]), found["msg"]) for found in error.errors()]
            hint = "correct the rule; a 提示 at night may have a light added to its actions and its sentence"
            raise RecipeError(f"rule {rule.id} makes no valid instruction", faults=faults, hint=hint) from None

    def _fact(self, state: VehicleState, name: str) -> str:
        value = getattr(state, self._features[name].attribute)
        if name in _BY_ITSELF or value.endswith("挡"):
            return str(value)
        return f"项目是{value}" if name == "当前项目" else f"{name}{value}"


_CAR = ("车辆类型", "挡位", "手刹", "发动机", "安全带", "车门")
_DRIVER = ("离合", "刹车", "油门", "速度")
_BY_ITSELF = frozenset({"场地类型", "车辆类型", "时间特征"})
"""Features whose value says by itself what it is about."""


def _pick(value: T | Choice[T], state: VehicleState) -> T:
    return value.pick(state) if isinstance(value, Choice) else value


def _misfits(
    rules: Sequence[Rule], state: type[VehicleState], instruction: type[AnyInstruction]
) -> Iterator[Fault]:
    """What rules want that the models do not have."""
    ids = Counter(rule.id for rule in rules)
    yield from (Fault(id, f"{count} rules with this id", "an id of its own") for id, count in ids.items() if count > 1)
    features = features_of(state)
    for rule in rules:
        for name in sorted(rule.when.reads - features.keys()):
            yield Fault(rule.id, f"feature {name}", f"features of {state.__name__}: {', '.join(features)}")
    lights: Plan = tuple(light for light, _ in LIGHT.values())
    plans = [(rule.id, rule.do) for rule in rules] + [(stage.id, stage.do) for stage in STAGES] + [("lights", lights)]
    allowed = actions_of(instruction)
    for id, plan in plans:
        for action in dict.fromkeys(actions_in(plan)):
            if action not in allowed:
                yield Fault(id, f"action {action}", f"the {len(allowed)} actions of {instruction.__name__}")
