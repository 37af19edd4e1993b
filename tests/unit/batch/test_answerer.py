"""The per-batch function: order, one question a state, asking again, the guard, failover, permanent errors."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from drivecoach.batch.answerer import WINDOW, Answerer
from drivecoach.batch.hosts import TRIES, Hosts
from drivecoach.batch.journal import Journal
from drivecoach.batch.level import Level
from drivecoach.chat import Message
from drivecoach.domains.driving import DRIVING
from drivecoach.errors import InputError, RuntimeFailure, StorageError
from drivecoach.infer import ASKS, Engine, Guard, Outcome, Question
from drivecoach.runtime import Again, Busy, Completion, Down
from tests.support.driving import states
from tests.support.fault_server import UNSAFE
from tests.support.scripted_runtime import Reply, ScriptedRuntime, right

STATES = [state for state in states(100) if DRIVING.violations(state, DRIVING.read_answer(UNSAFE))]
LINES = [DRIVING.write_input(state) for state in STATES]


def answerer(
    *runtimes: ScriptedRuntime, guard: Guard = "flag", journal: Journal[Any, Any] | None = None, patience: float = 5
) -> Answerer[Any, Any]:
    hosts = Hosts([lambda runtime=runtime: runtime for runtime in runtimes], patience=patience)  # type: ignore[misc]
    return Answerer(hosts, Engine(hosts.generate, DRIVING, guard), journal or Journal(None, DRIVING, {}))


def test_outcomes_come_in_order_and_identical_states_are_asked_once() -> None:
    runtime = ScriptedRuntime(lambda user, seed: (time.sleep(0.01 if user == LINES[0] else 0), right(user, seed))[1])
    rows = LINES[:20] * 5
    outcomes = list(answerer(runtime).answer_all(rows))
    assert [outcome.row for outcome in outcomes] == list(range(1, 101))
    assert [outcome.input for outcome in outcomes] == rows
    assert all(outcome.status == "valid" for outcome in outcomes)
    assert len(runtime.asked) == 20


class InChunks(ScriptedRuntime):
    """Takes many questions in one call."""

    together = 8

    def __init__(self, answer: Callable[[str, int | None], Reply] = right) -> None:
        super().__init__(answer, slots=2)
        self.calls: list[list[str]] = []

    def generate_all(
        self, questions: Sequence[tuple[str, Sequence[Message], bool]]
    ) -> list[Completion | InputError]:
        time.sleep(0.005)  # the others come meanwhile
        self.calls.append([text for text, _, _ in questions])
        return [self._one(*question) for question in questions]

    def _one(self, user: str, history: Sequence[Message], think: bool) -> Completion | InputError:
        try:
            return self.generate(user, history, think=think)
        except InputError as error:
            return error


def test_a_runtime_that_takes_many_at_once_gets_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivecoach.batch.answerer.THREADS", 4)

    def answer(user: str, seed: int | None) -> Reply:
        if user == LINES[5]:
            return InputError("too long", hint="")
        return UNSAFE if user == LINES[70] and not seed else right(user, seed)

    runtime = InChunks(answer)
    journal = Journal(None, DRIVING, {})
    outcomes = list(answerer(runtime, journal=journal).answer_all(LINES * 2))
    assert [outcome.input for outcome in outcomes] == LINES * 2
    failed = {outcome.input: outcome.reason for outcome in outcomes if outcome.status != "valid"}
    assert failed == {LINES[5]: "too long"}
    assert 1 < max(map(len, runtime.calls)) <= 8
    assert all(call == sorted(call) for call in runtime.calls), "neighbours, whose prompts share most"
    assert [asked.seed for asked in runtime.asked if asked.user == LINES[70]] == [None, 1], "asked again, alone"
    assert journal.count() == len(LINES) - 1


def test_what_stops_a_call_for_many_stops_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivecoach.batch.answerer.THREADS", 4)

    class Broken(InChunks):
        def generate_all(self, questions: object) -> list[Completion | InputError]:
            raise RuntimeFailure("the model is gone", hint="")

    def slow(user: str, seed: int | None) -> str:
        time.sleep(0.01)
        return right(user, seed)

    with pytest.raises(RuntimeFailure, match="the model is gone"):
        list(answerer(Broken(slow)).answer_all(LINES))


def test_bad_input_is_a_failed_row_and_asks_nobody() -> None:
    runtime = ScriptedRuntime()
    first, second = answerer(runtime).answer_all(["<特征>速度:飞快</特征>", LINES[0]])
    assert (first.status, first.row) == ("failed", 1)
    assert "飞快" in first.reason
    assert second.status == "valid"
    assert [asked.user for asked in runtime.asked] == [LINES[0]]


@pytest.mark.parametrize("bad", [UNSAFE, '{"动作": ["松开', "", '{"动作": [], "级别": "提示", "话术": "走"}'])
def test_an_invalid_answer_is_asked_again_with_another_seed(bad: str) -> None:
    runtime = ScriptedRuntime(lambda user, seed: right(user, seed) if seed else bad)
    (outcome,) = answerer(runtime).answer_all(LINES[:1])
    assert outcome.status == "valid"
    assert [asked.seed for asked in runtime.asked] == [None, 1]


def test_asking_again_is_bounded_then_the_row_is_marked() -> None:
    runtime = ScriptedRuntime(lambda user, seed: UNSAFE)
    (outcome,) = answerer(runtime).answer_all(LINES[:1])
    assert (outcome.status, outcome.source) == ("invalid", "model")
    assert outcome.answer == DRIVING.read_answer(UNSAFE)
    assert outcome.reason.startswith("invariants: ")
    assert len(runtime.asked) == ASKS


def test_guard_replace_gives_the_rules_instruction_and_says_so() -> None:
    runtime = ScriptedRuntime(lambda user, seed: UNSAFE)
    (outcome,) = answerer(runtime, guard="replace").answer_all(LINES[:1])
    assert (outcome.status, outcome.source) == ("valid", "rules")
    assert outcome.answer == DRIVING.teach(STATES[0])
    assert not DRIVING.violations(STATES[0], outcome.answer)
    assert outcome.reason.startswith("replaced: invariants: ")


def test_guard_off_lets_it_pass() -> None:
    runtime = ScriptedRuntime(lambda user, seed: UNSAFE)
    (outcome,) = answerer(runtime, guard="off").answer_all(LINES[:1])
    assert (outcome.status, len(runtime.asked)) == ("valid", 1)


@pytest.mark.parametrize("failure", [Again, Busy, Down])
def test_failures_that_pass_are_asked_again(failure: type[Again]) -> None:
    left = itertools.count()
    runtime = ScriptedRuntime(lambda u, s: failure("x", hint="y") if next(left) < 4 else right(u, s))
    outcomes = list(answerer(runtime).answer_all(LINES[:3]))
    assert [outcome.status for outcome in outcomes] == ["valid"] * 3


def test_a_row_that_only_fails_is_given_up_and_the_others_go_on() -> None:
    runtime = ScriptedRuntime(lambda u, s: Again("cut", hint="") if u == LINES[1] else right(u, s))
    outcomes = list(answerer(runtime, patience=60).answer_all(LINES[:6]))
    assert [outcome.status for outcome in outcomes] == ["valid", "failed", *["valid"] * 4]
    assert "cut" in outcomes[1].reason
    assert sum(asked.user == LINES[1] for asked in runtime.asked) == TRIES


def test_a_dead_host_is_left_for_a_living_one() -> None:
    dead = ScriptedRuntime(lambda u, s: Down("nobody", hint=""))
    alive = ScriptedRuntime()
    outcomes = list(answerer(dead, alive).answer_all(LINES))
    assert all(outcome.status == "valid" for outcome in outcomes)
    assert len(alive.asked) == len(LINES)


def test_nobody_there_ends_the_batch_after_the_patience() -> None:
    runtime = ScriptedRuntime(lambda u, s: Down("nobody", hint=""))
    start = time.monotonic()
    with pytest.raises(RuntimeFailure, match="no server has answered"):
        list(answerer(runtime, patience=0.5).answer_all(LINES))
    assert time.monotonic() - start < 10


def test_a_permanent_failure_stops_at_once() -> None:
    runtime = ScriptedRuntime(lambda u, s: RuntimeFailure("model not found", hint="make it"))
    with pytest.raises(RuntimeFailure, match="model not found") as caught:
        list(answerer(runtime).answer_all(LINES * 50))
    assert caught.value.hint == "make it"
    assert len(runtime.asked) <= 8


def test_memory_holds_a_window_however_long_the_input_is() -> None:
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        for line in itertools.cycle(LINES):
            read += 1
            yield line

    outcomes = answerer(ScriptedRuntime()).answer_all(endless())
    for taken, _ in enumerate(itertools.islice(outcomes, 10_000), start=1):
        assert read <= taken + WINDOW
    outcomes.close()  # type: ignore[attr-defined]


def test_what_is_finished_is_handed_out_before_more_is_read() -> None:
    runtime, read = ScriptedRuntime(), 0

    def inputs() -> Iterator[str]:
        nonlocal read
        for line in LINES[:40]:
            read += 1
            yield line
            deadline = time.monotonic() + 10
            while len(runtime.asked) < read or runtime.working:
                assert time.monotonic() < deadline, "the answer never came"
                time.sleep(0.001)

    ahead = [read - taken for taken, _ in enumerate(answerer(runtime).answer_all(inputs()), start=1)]
    assert len(ahead) == 40
    assert max(ahead) <= 5


def test_reading_and_asking_go_on_behind_a_slow_answer() -> None:
    others_asked = threading.Event()

    def answer(user: str, seed: int | None) -> str:
        if user == LINES[0]:
            assert others_asked.wait(10), "the others wait for the first"
        elif user == LINES[29]:
            others_asked.set()
        return right(user, seed)

    outcomes = list(answerer(ScriptedRuntime(answer)).answer_all(LINES[:30]))
    assert [outcome.input for outcome in outcomes] == LINES[:30]
    assert {outcome.status for outcome in outcomes} == {"valid"}


def test_a_batch_that_is_stopped_stops_no_other_on_the_same_servers() -> None:
    runtime = ScriptedRuntime(lambda u, s: RuntimeFailure("no", hint="x") if u == LINES[0] else right(u, s))
    ours = answerer(runtime)
    others = ours.answer_all(iter(LINES[1:9]))
    assert next(others).status == "valid"
    with pytest.raises(RuntimeFailure, match="no"):
        list(ours.answer_all(LINES[:1]))
    assert [outcome.status for outcome in others] == ["valid"] * 7


def test_leaving_early_does_not_spoil_the_next_batch() -> None:
    ours = answerer(ScriptedRuntime())
    assert next(iter(ours.answer_all(LINES))).status == "valid"
    assert len(list(ours.answer_all(LINES))) == len(LINES)


def test_the_journal_answers_what_was_asked_before(tmp_path: Path) -> None:
    path = tmp_path / "j"
    first, second = ScriptedRuntime(), ScriptedRuntime()
    with Journal(path, DRIVING, {"model": "a"}) as journal:
        before = list(answerer(first, journal=journal).answer_all(LINES[:10]))
    with Journal(path, DRIVING, {"model": "a"}) as journal:
        after = list(answerer(second, journal=journal).answer_all(LINES[:12]))
    assert len(second.asked) == 2
    assert [outcome.answer for outcome in after[:10]] == [outcome.answer for outcome in before]


def test_the_journal_keeps_everything_that_is_known_of_an_answer(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", DRIVING, {}) as journal:
        runtime = ScriptedRuntime(lambda user, seed: f"<think>\nwhy\n</think>\n\n{UNSAFE}")
        (before,) = answerer(runtime, journal=journal).answer_all(LINES[:1])
        (after,) = answerer(runtime, journal=journal).answer_all(LINES[:1])
    assert len(runtime.asked) == ASKS
    assert before.violations and before.thinking
    assert after == before


def test_questions_in_other_conversations_are_others() -> None:
    runtime = ScriptedRuntime()
    turns = ({"role": "user", "content": "早"}, {"role": "assistant", "content": "早"})
    questions = [Question(LINES[0]), Question(LINES[0], turns), Question(LINES[0], think=False), Question(LINES[0])]  # type: ignore[arg-type]
    assert len(list(answerer(runtime).answer_all(questions))) == 4
    assert sorted((len(asked.history), asked.think) for asked in runtime.asked) == [(0, False), (0, True), (2, True)]


def test_a_journal_of_another_model_or_process_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path, DRIVING, {"model": "a"}) as journal:
        with pytest.raises(StorageError, match="another process"):
            Journal(path, DRIVING, {"model": "a"})
        journal.put([("状态", Outcome(1, "状态", "valid"))])
    with pytest.raises(StorageError, match="other settings"):
        Journal(path, DRIVING, {"model": "b"})
    path.write_bytes(b"not a database, but long enough to be read as one" * 40)
    with pytest.raises(StorageError, match="no journal"):
        Journal(path, DRIVING, {"model": "a"})


def test_a_journal_without_answers_belongs_to_nobody(tmp_path: Path) -> None:
    Journal(tmp_path / "j", DRIVING, {"model": "mistyped"}).close()
    with Journal(tmp_path / "j", DRIVING, {"model": "b"}) as journal:
        journal.put([("状态", Outcome(1, "状态", "valid"))])
    with pytest.raises(StorageError, match="other settings"):
        Journal(tmp_path / "j", DRIVING, {"model": "mistyped"})


def test_a_level_climbs_while_it_pays_and_yields_when_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("drivecoach.batch.level.time.monotonic", lambda: now)
    level = Level(4, 64)
    for _ in range(400):  # a server that works on 16 at once: its speed grows until then
        now += 0.1 / min(level.limit, 16)
        level.done()
    assert 14 <= level.limit <= 40
    high = level.limit
    for _ in range(200):  # now and then one is turned away: it stays
        now += 0.02
        (level.busy if _ % 20 == 0 else level.done)()
    assert level.limit >= high - high // 3
    for _ in range(400):  # a queue that is full for half of them: it yields
        now += 0.02
        (level.busy if _ % 2 else level.done)()
    assert level.limit <= 4


def test_many_threads_share_the_hosts() -> None:
    hosts = Hosts([lambda: ScriptedRuntime()])
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(hosts.generate(LINES[0]).text)) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 32
    hosts.close()


def test_a_runtime_is_opened_once_however_many_ask() -> None:
    opened = []

    def slow() -> ScriptedRuntime:
        time.sleep(0.05)
        opened.append(ScriptedRuntime())
        return opened[-1]

    hosts = Hosts([slow])
    outcomes = list(Answerer(hosts, Engine(hosts.generate, DRIVING)).answer_all(LINES[:10]))
    assert {outcome.status for outcome in outcomes} == {"valid"}
    assert len(opened) == 1
