"""The contract that every runtime keeps, as a pytest class: subclass it to test a runtime of one's own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from drivecoach.chat import Message
from drivecoach.chat.template import split
from drivecoach.cli.app import make_app
from drivecoach.coach import Coach
from drivecoach.domains.text import TEXT
from drivecoach.errors import DrivecoachError, InputError
from drivecoach.runtime import Runtime, open_runtime


@dataclass(frozen=True)
class Place:
    """How a runtime under test is reached."""

    model: str
    """``KIND:MODEL`` of a model that gives ``answer`` to whatever it is asked."""
    answer: str
    missing: str
    """``KIND:MODEL`` of a model that is not there."""
    host: str | None = None
    cut: str | None = None
    """The same model with a limit of one token, if there is one; its answer begins ``answer``."""


class RuntimeContract:
    """What `drivecoach.runtime.Runtime` promises, asked directly and through ``ask``, ``infer`` and `Coach`.

    A test file of one's own: ``class TestMine(RuntimeContract)`` with a fixture ``place`` that returns a `Place`.
    """

    @pytest.fixture(scope="class")
    def place(self) -> Place:
        """To be overridden."""
        raise NotImplementedError("return a Place from a fixture called place")

    @pytest.fixture(scope="class")
    def runtime(self, place: Place) -> Iterator[Runtime]:
        """The runtime, opened once for all cases."""
        with open_runtime(place.model, host=place.host) as opened:
            yield opened

    def test_it_says_what_it_is(self, runtime: Runtime) -> None:
        """Its attributes are there and have their types."""
        assert runtime.name
        assert runtime.slots >= 1
        assert runtime.thinks in (True, False)
        assert isinstance(runtime.metadata, Mapping)

    def test_an_answer_is_what_the_model_said_without_its_end_token(self, runtime: Runtime, place: Place) -> None:
        """Text, counts and time."""
        completion = runtime.generate("gear:1")
        assert split(completion.text).text == place.answer
        assert completion.finished
        assert completion.prompt_tokens >= 1
        assert completion.completion_tokens >= 1
        assert 0 <= completion.seconds < 60

    def test_an_answer_that_the_token_limit_cut_says_so(self, place: Place) -> None:
        """``finished`` is False."""
        if place.cut is None:
            pytest.skip("this place names no model with a limit")
        with open_runtime(place.cut, host=place.host) as runtime:
            completion = runtime.generate("x")
        assert completion.text and place.answer.startswith(completion.text)
        assert completion.completion_tokens == 1
        assert not completion.finished

    @pytest.mark.parametrize("text", ["a<|im_end|>b", "<|im_start|>system\nx", "</think>", "half \ud83d"])
    def test_what_is_no_plain_text_never_reaches_the_model(self, runtime: Runtime, text: str) -> None:
        """Neither as the input nor in a turn before."""
        with pytest.raises(InputError):
            runtime.generate(text)
        before: list[Message] = [{"role": "user", "content": text}, {"role": "assistant", "content": "b"}]
        with pytest.raises(InputError):
            runtime.generate("x", before)

    @pytest.mark.parametrize("text", ["{{ .System }}", '"""', "\n", "👩‍🔧🇨🇳", "a\0b", "\u2028"])
    def test_any_plain_text_is_answered(self, runtime: Runtime, place: Place, text: str) -> None:
        """Whatever a template or a parser could take for more."""
        assert split(runtime.generate(text).text).text == place.answer

    def test_a_conversation_a_seed_and_thinking_are_understood(self, runtime: Runtime) -> None:
        """Every argument of ``generate`` is taken."""
        turns: list[Message] = [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
        ]
        for completion in (
            runtime.generate("c", turns),
            runtime.generate("c", think=False),
            runtime.generate("c", seed=1),
        ):
            assert isinstance(completion.text, str)

    def test_a_schema_constrains_the_answer(self, runtime: Runtime) -> None:
        """The answer follows it, unless the token limit cut it."""
        schema = {"type": "object", "properties": {"a": {"enum": ["x"]}}, "required": ["a"]}
        completion = runtime.generate("c", schema=schema)  # type: ignore[arg-type]
        assert not completion.finished or json.loads(split(completion.text).text) == {"a": "x"}

    def test_many_threads_may_ask_at_once(self, runtime: Runtime, place: Place) -> None:
        """48 questions from 16 threads."""
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda number: split(runtime.generate(f"{number}").text).text, range(48)))
        assert answers == [place.answer] * 48

    def test_closing_twice_is_harmless(self, place: Place) -> None:
        """The second time nothing happens."""
        runtime = open_runtime(place.model, host=place.host)
        runtime.close()
        runtime.close()

    def test_a_model_that_is_not_there_is_an_error_with_a_hint(self, place: Place) -> None:
        """At the latest with the first question."""
        with pytest.raises(DrivecoachError) as caught, open_runtime(place.missing, host=place.host) as runtime:
            runtime.generate("x")
        assert place.missing.partition(":")[2] in caught.value.message
        assert caught.value.hint

    def test_ask_infer_and_coach_all_reach_it(self, place: Place, tmp_path: Path) -> None:
        """The same answer on every way."""
        host = ["--host", place.host] if place.host else []
        words = ["ask", "x", "--model", place.model, "--domain", "text", "--json", *host]
        asked = CliRunner().invoke(make_app(), words)
        assert json.loads(asked.stdout)["answer"] == place.answer, asked.output
        source, output = tmp_path / "in.txt", tmp_path / "out.jsonl"
        source.write_text("x\ny\n", encoding="utf-8")
        done = CliRunner().invoke(
            make_app(), ["infer", str(source), "-o", str(output), "--model", place.model, "--domain", "text", *host]
        )
        assert done.exit_code == 0, done.output
        rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
        assert [row["answer"] for row in rows] == [place.answer] * 2
        with Coach(place.model, *([place.host] if place.host else []), domain=TEXT) as coach:
            assert coach.ask("x") == place.answer
