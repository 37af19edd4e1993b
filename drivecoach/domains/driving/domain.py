"""The driving domain: states of the car in, a coach's instructions out; it can be made of extended models and rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Generic, cast

from drivecoach.domain import Cockpit, Domain, Explanation, Pair, RuleTable, Violation
from drivecoach.domain.pieces import answer_pieces
from drivecoach.domain.reading import read_json
from drivecoach.domains.driving.answer import reply_to
from drivecoach.domains.driving.documents import card, rules_table
from drivecoach.domains.driving.draw import Space
from drivecoach.domains.driving.instruction import Given
from drivecoach.domains.driving.line import CLOSING, OPENING, check_length, read_line, read_record, write_line
from drivecoach.domains.driving.plan import Choice
from drivecoach.domains.driving.rules import RULES, Rule
from drivecoach.domains.driving.rules.lights import LIGHT
from drivecoach.domains.driving.rules.start import STAGES
from drivecoach.domains.driving.state import State, VehicleState, features_of, legal_states
from drivecoach.domains.driving.teacher import Advice, Teacher
from drivecoach.domains.driving.violations import violations
from drivecoach.domains.driving.words import LEVELS

SYSTEM = (
    "你是驾考教练，根据车辆特征告诉学员现在该做什么。"
    "只回答一个JSON对象，依次含动作、级别（提示、警告或危险）、话术三个键。"
)
"""The coach's brief for the system message."""


class DrivingDomain(Domain[State, Given], Generic[State, Given]):
    """What a driving coach knows. A school's own variant is made of its own models and rules:

    ``DrivingDomain("school", SchoolState, SchoolInstruction, rules=(*OWN, *RULES))``. The state model extends
    `VehicleState` with features (closed sets of texts), the instruction model is an `InstructionOf` a larger closed
    set; the first rule that holds is the answer, so own rules stand first. Lines, JSON records, the walk over all
    states, reasoning, pairs, invariants and vocabulary follow from these.

    Raises RecipeError for rules that do not fit the models.
    """

    levels = LEVELS
    about = (
        "A driving coach for learners in China (科目二, 科目三): it reads what the car's sensors say at one moment, "
        "and answers in Chinese what to do now (动作), how grave it is (级别), and what to say (话术)."
    )
    not_for = (
        "Driving a car, or taking the place of the coach beside the learner. It sees nothing but the features of its "
        "input: no road, no traffic light, no other car, no pedestrian, no steering. It knows the rules of training "
        "and examination that its data teach, not the law of every place. A wrong answer can be dangerous: ask it "
        "through drivecoach's guard (`--guard strict`), which checks every answer against the rules, and let no car "
        "obey it."
    )
    map_by = "当前项目"

    def __init__(
        self,
        name: str,
        state: type[State],
        instruction: type[Given],
        *,
        rules: Sequence[Rule] = RULES,
        system: str = SYSTEM,
    ) -> None:
        super().__init__(name, state, instruction, system)
        self.state = state
        self.instruction = instruction
        self.features = features_of(state)
        self.teacher = Teacher(rules, state, instruction)

    # --- texts ---

    def read_input(self, text: str) -> State:
        """A feature line, or a JSON object with one key a feature by Chinese or English names, as a state.

        Raises InputError with every fault; a text of another domain is one.
        """
        if not text.lstrip().startswith("{"):
            return read_line(text, self.state)
        check_length(text, self.state)
        value = read_json(text, self.input.title, self.input.node)
        return read_record(self.input.rename(value), self.state) if isinstance(value, dict) else self.input.parse(value)

    def write_input(self, value: State) -> str:
        """The canonical feature line of a state."""
        return write_line(value)

    # --- what is known ---

    def violations(self, value: State, answer: Given) -> Sequence[Violation]:
        """The invariants that ``answer`` breaks; a school's own are added by overriding this."""
        return violations(value, answer)

    def teach(self, value: State) -> Given:
        """The rule teacher's instruction."""
        return self.advise(value).instruction

    def advise(self, value: State) -> Advice[Given]:
        """What the rule teacher says, by which rule, and what decided."""
        return self.teacher.advise(value)

    def explain(self, value: State) -> Explanation:
        """By which rule the teacher answers, and why."""
        advice = self.advise(value)
        read = {name: str(getattr(value, self.features[name].attribute)) for name in advice.deciding}
        more = {"评判": advice.rule.verdict, "stage": advice.stage or "", "light": advice.light or ""}
        said = {name: text for name, text in more.items() if text}
        return Explanation(advice.rule.id, advice.reason, advice.rule.source, read, said)

    def rules(self) -> RuleTable:
        """The rule table; its states are counted over all legal ones, in some ten seconds."""
        return rules_table(self.teacher.rules, self.space.states, list(self.features))

    def reasoning(self, value: State, advice: Advice[Given]) -> str:
        """What leads to the advice: one line of Chinese."""
        return self.teacher.reasoning(value, advice)

    def level(self, answer: Given) -> str:
        """提示, 警告 or 危险."""
        return answer.level

    def spoken(self, answer: Given) -> str:
        """话术."""
        return answer.speech

    @property
    def cockpit(self) -> Cockpit | None:
        """The learner's car; none where states have features that its sensors do not tell."""
        from drivecoach.domains.driving.cockpit import DrivingCockpit

        return DrivingCockpit() if self.features.keys() == features_of(VehicleState).keys() else None

    # --- the space of states, and what is drawn from it ---

    @property
    def is_finite(self) -> bool:
        """Always: every feature is a closed set."""
        return True

    def inputs(self) -> Iterator[State]:
        """All legal states, each once, in a fixed order; built without validation."""
        return legal_states(self.state)

    @cached_property
    def space(self) -> Space:
        """All legal states sorted into the cells that pairs are drawn from; worked out once, in some ten seconds."""
        return Space(self.inputs(), self.advise, self.write_input)

    def draw(self, count: int, seed: int) -> list[Pair[State, Given]]:
        """``count`` pairs with their reasoning; see `Space.draw`. A pair's group is the id of its rule."""
        pairs = []
        for line in self.space.draw(count, seed):
            state = self.read_input(line)
            advice = self.advise(state)
            pairs.append(Pair(state, advice.instruction, self.reasoning(state, advice), advice.rule.id))
        return pairs

    def card(self, name: str, summary: Mapping[str, str | int], groups: Mapping[str, int]) -> str:
        """The data card, in words about driving."""
        return card(name, summary, groups, self.name, self.space)

    # --- derived ---

    def vocabulary(self) -> tuple[str, ...]:
        """The pieces that a small tokenizer should hold as one token each, without repeats.

        Cutting at the longest piece from left to right takes every canonical line and every answer of the teacher
        apart into pieces of this list alone: a token a feature, and a token a spoken clause.
        """
        pieces = [*self._line_pieces(), *answer_pieces(self.answer.node), *self._speech_pieces()]
        return tuple(dict.fromkeys(pieces))

    def _line_pieces(self) -> Iterator[str]:
        yield OPENING
        *names, last = self.features
        for name in names:
            yield from (f"{name}:{value}; " for value in self.features[name].values)
        yield from (f"{last}:{value}{CLOSING}" for value in self.features[last].values)

    def _speech_pieces(self) -> Iterator[str]:
        for rule in self.teacher.rules:
            ending = "，" if rule.starts else ""  # the prefix of a stage's sentence
            yield from (text + ending for text in _texts(rule.say))
        for stage in STAGES:
            yield from _texts(stage.say)
        yield from (suffix for _, suffix in LIGHT.values())

    def reply(self, answer: Given, *, violations: Sequence[Violation], latency: float, source: str) -> Given:
        """The instruction as an `Answer`, which tells what was found out about it."""
        made = reply_to(self.instruction).model_validate(answer.model_dump(by_alias=True))
        made._violations, made._latency, made._source = tuple(violations), latency, source
        return cast(Given, made)


def _texts(say: str | Choice[str]) -> tuple[str, ...]:
    return say.values() if isinstance(say, Choice) else (say,)
