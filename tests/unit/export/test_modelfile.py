"""The Modelfile says to Ollama what training saw: prompt, system message, parameters; and stays what we wrote."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivecoach.chat import FAMILIES, Chat, Message, Thinking, family
from drivecoach.config import ExportConfig, load_recipe
from drivecoach.domains.driving import DRIVING
from drivecoach.domains.load import load_domain
from drivecoach.errors import RecipeError
from drivecoach.export.about import license_text, origins
from drivecoach.export.modelfile import go_template, make_chat, render
from drivecoach.export.proof import thinks
from tests.support.go_template import rendered

ROOT = Path(__file__).parents[3]
SETTINGS = ExportConfig(temperature=0.25, num_ctx=300, num_predict=96)


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="<>"), max_size=20)
SYSTEMS = TEXTS.filter(lambda text: text == text.strip())


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """Up to three questions with the answers between them, and perhaps a system message of the request's own."""
    count = draw(st.integers(1, 3))
    system: list[Message] = [{"role": "system", "content": draw(TEXTS)}] if draw(st.booleans()) else []
    roles = [("user", "assistant")[at % 2] for at in range(2 * count - 1)]
    return [*system, *({"role": role, "content": draw(TEXTS)} for role in roles)]


@pytest.mark.parametrize("thinking", ["strip", "keep", "mixed"])
@pytest.mark.parametrize("name", FAMILIES)
@given(data=st.data())
@settings(max_examples=40)
def test_ollama_renders_a_conversation_as_training_does(name: str, thinking: Thinking, data: st.DataObject) -> None:
    chat = Chat(data.draw(SYSTEMS), thinking, family(name))
    turns = data.draw(conversations())
    template = go_template(chat)
    for think in thinks(chat):
        expected = chat.prompt(turns[-1]["content"], turns[:-1], think=think is not False)
        # A model that thinks is told to when the request says nothing.
        told = True if think is None and thinking != "strip" else think
        assert rendered(template, turns, system=chat.system, think=told) == expected


@pytest.mark.parametrize("name", FAMILIES)
@given(
    roles=st.lists(st.sampled_from(["system", "user", "assistant"]), max_size=6),
    system=st.sampled_from(["", "SYS"]),
    data=st.data(),
)
@settings(max_examples=60)
def test_and_conversations_that_training_never_has(
    name: str, roles: list[str], system: str, data: st.DataObject
) -> None:
    """Turns of one role in a row, an assistant that speaks first, system messages anywhere, empty texts."""
    chat = Chat(system, "strip", family(name))
    turns: list[Message] = [{"role": role, "content": data.draw(st.sampled_from(["", "a", " b\n"]))} for role in roles]
    turns.append({"role": "user", "content": "q"})
    assert rendered(go_template(chat), turns, system=system) == chat.prompt("q", turns[:-1])


def test_what_follows_a_turn_is_what_training_has_there() -> None:
    turns: list[Message] = [
        {"role": "user", "content": "A"},
        {"role": "assistant", "content": "B"},
        {"role": "user", "content": "C"},
    ]
    assert rendered(go_template(Chat("")), turns) == (
        "<|im_start|>user\nA<|im_end|>\n<|im_start|>assistant\nB<|im_end|>\n"
        "<|im_start|>user\nC<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_model_that_never_thinks_names_nothing_of_thinking() -> None:
    template = go_template(Chat(DRIVING.system))
    assert "hink" not in template, "a name of thinking would make Ollama take the answer apart"
    assert ".Messages" in template and ".Prompt" not in template


@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_that_thinks_names_what_ollama_knows_it_by(name: str) -> None:
    """Ollama looks for .Thinking in a range over .Messages, between two texts: its marks (thinking/template.go)."""
    template = go_template(Chat(DRIVING.system, "keep", family(name)))
    in_range = template.split("{{ range .Messages }}")[1].split("{{ end }}{{ end }}")[0]
    assert re.search(r"\}\}<think>\{\{ \.Thinking \}\}</think>\{\{ end \}\}", in_range)
    assert template.endswith("{{ if and .IsThinkSet (not .Think) }}<think>\n\n</think>\n\n{{ end }}")


def test_reasoning_that_a_client_sends_back_is_left_out_as_in_training() -> None:
    chat = Chat("", "keep")
    turns = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "thinking": "why"},
        {"role": "user", "content": "c"},
    ]
    history: list[Message] = [{"role": turn["role"], "content": turn["content"]} for turn in turns[:-1]]
    assert rendered(go_template(chat), turns, think=True) == chat.prompt("c", history)


@pytest.mark.parametrize("bad", ["{{ range .Messages }}x", "{{ end }}", "{{ if .A | len }}{{ end }}", "{{ .Nothing }}"])
def test_the_interpreter_of_these_tests_guesses_nothing(bad: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        rendered(bad, [{"role": "user", "content": "a"}])


def parsed(text: str) -> dict[str, list[str]]:
    """A Modelfile's directives, read as Ollama's parser does: a value in triple quotes ends where they end a line."""
    found: dict[str, list[str]] = {}
    for name, quoted, plain in re.findall(r'^([A-Z]+) (?:"""(.*?)"""|(.*?))\n', text, flags=re.DOTALL | re.MULTILINE):
        found.setdefault(name, []).append(quoted or plain)
    return found


def test_every_directive_is_there_once() -> None:
    chat = Chat(DRIVING.system)
    found = parsed(render(chat, SETTINGS, "goDrive-q4_K_M.gguf", "Apache-2.0\ndata x: MIT"))
    assert found == {
        "FROM": ["./goDrive-q4_K_M.gguf"],
        "TEMPLATE": [go_template(chat)],
        "SYSTEM": [DRIVING.system],
        "PARAMETER": ["stop <|im_end|>", "temperature 0.25", "num_ctx 300", "num_predict 96"],
        "LICENSE": ["Apache-2.0\ndata x: MIT"],
    }
    assert "SYSTEM" not in parsed(render(Chat(""), SETTINGS, "x.gguf", "MIT"))


@pytest.mark.parametrize(
    "system",
    ['a "b"', '"', '""', 'ends with "', '""\n""', "FROM /etc/passwd\nPARAMETER stop x", "# no comment", "two\nlines\n"],
)
def test_a_system_message_stays_one_value(system: str) -> None:
    found = parsed(render(Chat(system), SETTINGS, "x.gguf", "MIT"))
    assert found["SYSTEM"] == [system]
    assert found["FROM"] == ["./x.gguf"]
    assert len(found["PARAMETER"]) == 4


@pytest.mark.parametrize("system", ['"""', 'a"""\nFROM evil\n"""', '""""'])
def test_quotes_that_would_end_the_message_are_refused(system: str) -> None:
    with pytest.raises(RecipeError, match='"""') as caught:
        render(Chat(system), SETTINGS, "x.gguf", "MIT")
    assert caught.value.hint


@pytest.mark.parametrize("character", ["\u3000", "\u00a0", "\u200b", "\ufeff", "\x07"])
def test_what_ollama_would_drop_from_the_message_is_refused(character: str) -> None:
    """Its Modelfile parser leaves out what Go's strconv.IsPrint does not know; the model was trained with it."""
    with pytest.raises(RecipeError, match=re.escape(ascii(character)[1:-1])) as caught:
        render(Chat(f"你是{character}教练"), SETTINGS, "x.gguf", "MIT")
    assert caught.value.hint


def test_every_recipe_has_its_modelfile_and_no_other_is_there() -> None:
    recipes = [load_recipe(path) for path in (ROOT / "recipes").rglob("*.yaml")]
    for recipe in recipes:
        license = license_text(origins(recipe, hub=False))
        made = render(make_chat(recipe, load_domain(recipe.domain)), recipe.export, recipe.export.served, license)
        assert (ROOT / "modelfiles" / f"{recipe.name}.Modelfile").read_text(encoding="utf-8") == made
    assert len(list((ROOT / "modelfiles").iterdir())) == len(recipes) > 0
