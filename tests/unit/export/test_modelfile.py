"""The Modelfile says to Ollama what training saw: prompt, system message, parameters; and stays what we wrote."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivecoach.chat import Chat
from drivecoach.config import ExportConfig, load_recipe
from drivecoach.domains.driving import DRIVING
from drivecoach.domains.load import load_domain
from drivecoach.errors import RecipeError
from drivecoach.export.modelfile import go_template, render
from drivecoach.pipeline import gguf_name, make_chat

ROOT = Path(__file__).parents[3]
SETTINGS = ExportConfig(temperature=0.25, num_ctx=300, num_predict=96)


def by_hand(template: str, system: str, prompt: str, response: str = "") -> str:
    """What Go's text/template makes of our plain TEMPLATE: one condition, three values."""
    text = re.sub(r"\{\{ if \.System \}\}(.*?)\{\{ end \}\}", r"\1" if system else "", template, flags=re.DOTALL)
    for name, value in ((".System", system), (".Prompt", prompt), (".Response", response)):
        text = text.replace("{{ " + name + " }}", value)
    assert "{{" not in text
    return text


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="<>\0{}"))


@given(system=TEXTS, user=TEXTS)
def test_the_template_renders_what_the_chat_renders(system: str, user: str) -> None:
    chat = Chat(system)
    asked, _ = go_template(chat).split("{{ .Response }}")
    assert by_hand(asked, system, user) == chat.prompt(user)
    learned = chat.prompt(user) + chat.completion("松油门")
    assert by_hand(go_template(chat), system, user, "松油门") == learned


def test_a_plain_model_gets_a_plain_template() -> None:
    template = go_template(Chat(DRIVING.system))
    assert template == (
        "{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}"
        "<|im_start|>user\n{{ .Prompt }}<|im_end|>\n<|im_start|>assistant\n{{ .Response }}<|im_end|>"
    )
    assert "hink" not in template, "a name of thinking would make Ollama take the answer apart"


def test_a_model_that_thinks_names_what_ollama_knows_it_by() -> None:
    template = go_template(Chat(DRIVING.system, "keep"))
    for name in (".Thinking", ".IsThinkSet", ".Think"):
        assert re.search(rf"\{{\{{[^}}]*{re.escape(name)}\b", template)
    assert "<think>\n\n</think>\n\n" in template
    assert template.count("{{ if") + template.count("{{ range") == template.count("{{ end }}")
    assert template == (
        '{{ $first := true }}{{ range .Messages }}{{ if eq .Role "user" }}'
        "{{ if and $first $.System }}<|im_start|>system\n{{ $.System }}<|im_end|>\n{{ end }}{{ $first = false }}"
        "<|im_start|>user\n{{ .Content }}<|im_end|>\n"
        '{{ else if eq .Role "assistant" }}<|im_start|>assistant\n'
        "{{ if .Thinking }}<think>\n{{ .Thinking }}\n</think>\n\n{{ end }}{{ .Content }}<|im_end|>\n"
        "{{ end }}{{ end }}<|im_start|>assistant\n"
        "{{ if and .IsThinkSet (not .Think) }}<think>\n\n</think>\n\n{{ end }}"
    )


def parsed(text: str) -> dict[str, list[str]]:
    """A Modelfile's directives, read as Ollama's parser does: a value in triple quotes ends where they end a line."""
    found: dict[str, list[str]] = {}
    for name, quoted, plain in re.findall(r'^([A-Z]+) (?:"""(.*?)"""|(.*?))\n', text, flags=re.DOTALL | re.MULTILINE):
        found.setdefault(name, []).append(quoted or plain)
    return found


def test_every_directive_is_there_once() -> None:
    chat = Chat(DRIVING.system)
    found = parsed(render(chat, SETTINGS, "goDrive-q4_K_M.gguf"))
    assert found == {
        "FROM": ["./goDrive-q4_K_M.gguf"],
        "TEMPLATE": [go_template(chat)],
        "SYSTEM": [DRIVING.system],
        "PARAMETER": ["stop <|im_end|>", "temperature 0.25", "num_ctx 300", "num_predict 96"],
    }
    assert "SYSTEM" not in parsed(render(Chat(""), SETTINGS, "x.gguf"))


@pytest.mark.parametrize(
    "system",
    ['a "b"', '"', '""', 'ends with "', '""\n""', "FROM /etc/passwd\nPARAMETER stop x", "# no comment", "two\nlines\n"],
)
def test_a_system_message_stays_one_value(system: str) -> None:
    found = parsed(render(Chat(system), SETTINGS, "x.gguf"))
    assert found["SYSTEM"] == [system]
    assert found["FROM"] == ["./x.gguf"]
    assert len(found["PARAMETER"]) == 4


@pytest.mark.parametrize("system", ['"""', 'a"""\nFROM evil\n"""', '""""'])
def test_quotes_that_would_end_the_message_are_refused(system: str) -> None:
    with pytest.raises(RecipeError, match='"""') as caught:
        render(Chat(system), SETTINGS, "x.gguf")
    assert caught.value.hint


@pytest.mark.parametrize("character", ["\u3000", "\u00a0", "\u200b", "\ufeff", "\x07"])
def test_what_ollama_would_drop_from_the_message_is_refused(character: str) -> None:
    """Its Modelfile parser leaves out what Go's strconv.IsPrint does not know; the model was trained with it."""
    with pytest.raises(RecipeError, match=re.escape(ascii(character)[1:-1])) as caught:
        render(Chat(f"你是{character}教练"), SETTINGS, "x.gguf")
    assert caught.value.hint


def test_every_recipe_has_its_modelfile_and_no_other_is_there() -> None:
    recipes = [load_recipe(path) for path in (ROOT / "recipes").rglob("*.yaml")]
    for recipe in recipes:
        gguf = gguf_name(recipe, recipe.export.quantizations[-1])
        made = render(make_chat(recipe, load_domain(recipe.domain)), recipe.export, gguf)
        assert (ROOT / "modelfiles" / f"{recipe.name}.Modelfile").read_text(encoding="utf-8") == made
    assert len(list((ROOT / "modelfiles").iterdir())) == len(recipes) > 0
