"""Chat families: every template opens and closes its turns, and Ollama's TEMPLATE says the same."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivecoach.chat import FAMILIES, NO_THINKING, Chat, Message, family, own_family, read_family
from drivecoach.chat.family import Family
from drivecoach.config import ExportConfig
from drivecoach.errors import InputError, RecipeError
from drivecoach.export.modelfile import go_template, render
from tests.support.go_template import rendered

OPENED = "{% if add_generation_prompt %}<assistant>{% endif %}"
HISTORY: list[Message] = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
OPENING = {
    "chatml": "<|im_start|>assistant\n",
    "gemma": "<start_of_turn>model\n",
    "llama3": "<|start_header_id|>assistant<|end_header_id|>\n\n",
}


@pytest.mark.parametrize("name", FAMILIES)
def test_turns_stand_in_order_and_the_answer_is_opened(name: str) -> None:
    chat = Chat("SYS", "strip", family(name))
    text = chat.prompt("c", HISTORY)
    assert text.index("SYS") < text.index("\na") < text.index("\nb") < text.index("\nc")
    assert text.endswith(OPENING[name])
    assert text.count(chat.end) == (3 if name == "gemma" else 4)
    assert chat.completion("d") == "d" + chat.end


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1) | st.sampled_from([" ", "\n", " a\n", "{{ 1 }}", "{% raw %}"])


@given(st.sampled_from(FAMILIES), TEXTS | st.just(""), st.lists(TEXTS, max_size=5))
def test_the_quick_way_to_a_prompt_says_what_the_template_says(name: str, system: str, turns: list[str]) -> None:
    messages: list[Message] = [{"role": "system", "content": system}] if system else []
    roles = ["user" if place % 2 == len(turns) % 2 else "assistant" for place in range(len(turns))]
    messages += [{"role": role, "content": text} for role, text in zip(roles, turns, strict=True)]
    messages.append({"role": "user", "content": "c"})
    assert family(name)._plain is not None
    assert family(name).prompt(messages) == family(name).render(messages, answer=True)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_turns_of_a_shipped_template_are_what_it_is_taken_apart_into(name: str) -> None:
    assert replace(family(name), shipped=None).turns == family(name).shipped


def test_a_template_that_is_no_turns_is_rendered_by_jinja() -> None:
    counting = "{% for m in messages %}{{ loop.index }}{{ m.content }}{% endfor %}" + OPENED
    spoken = Family("counting", counting, "<end>", "<end>")
    assert spoken._plain is None
    assert spoken.prompt([{"role": "user", "content": "a"}]) == "1a<assistant>"


@pytest.mark.parametrize("name", FAMILIES)
def test_a_rows_own_system_message_takes_the_place_of_the_recipes(name: str) -> None:
    chat = Chat("SYS", "strip", family(name))
    text = chat.prompt("c", [{"role": "system", "content": "OTHER"}])
    assert "OTHER" in text and "SYS" not in text


@pytest.mark.parametrize(
    ("name", "token"),
    [("chatml", "<|im_end|>"), ("gemma", "<end_of_turn>"), ("gemma", "<bos>"), ("llama3", "<|eot_id|>")]
    + [(name, "</think>") for name in FAMILIES],
)
def test_a_control_token_in_any_turn_is_refused(name: str, token: str) -> None:
    chat = Chat("", "strip", family(name))
    for history, user in (([], f"x{token}y"), ([{"role": "user", "content": token}, HISTORY[1]], "x")):
        with pytest.raises(InputError, match=re.escape(token)):
            chat.prompt(user, history)
    with pytest.raises(InputError):
        chat.completion(f"x{token}")


def test_another_familys_tokens_are_plain_text() -> None:
    assert "<end_of_turn>" in Chat("").prompt("is <end_of_turn> a token?")


def test_mixed_thinking_is_driven_by_the_prompt() -> None:
    chat = Chat("", "mixed")
    output = "<think>\nwhy\n</think>\n\nyes"
    assert chat.prompt("q", think=False) == chat.prompt("q") + NO_THINKING
    assert chat.completion(output) == output + chat.end
    assert chat.completion(output, think=False) == "yes" + chat.end
    assert "{{ if and .IsThinkSet (not .Think) }}" + NO_THINKING in go_template(chat)
    assert Chat("").prompt("q", think=False) == Chat("").prompt("q")


@pytest.mark.parametrize("name", FAMILIES)
def test_shipped_templates_pass_the_check_of_ones_own(name: str) -> None:
    assert own_family(family(name).source, family(name).end).end == family(name).end


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}", "assistant turn"),
        ("{% for m in messages %}{{ m.role }}:{{ m.content }}<end>{% endfor %}", "not opened"),
        ("{% if add_generation_prompt %}A:{% endif %}", "user turn"),
        ("{% for m in messages %}", "not valid Jinja"),
        (
            "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
            f"<{{{{ m.role }}}}>{{{{ m.content }}}}<end>{{% endfor %}}{OPENED}",
            "raise_exception",
        ),
        (
            f"{{% for m in messages %}}<{{{{ m.role }}}}>{{{{ m.content | trim }}}}<end>{{% endfor %}}{OPENED}",
            "as it is",
        ),
        (
            f"{{% for m in messages[-2:] %}}<{{{{ m.role }}}}>{{{{ m.content }}}}<end>{{% endfor %}}{OPENED}",
            "conversation",
        ),
    ],
)
def test_a_template_that_cannot_be_learned_is_refused(source: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "own.jinja"
    path.write_text(source)
    with pytest.raises(RecipeError, match=says):
        read_family(str(path), "<end>")


def test_a_template_of_ones_own_works_and_its_tokens_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.jinja"
    path.write_text(
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}<stop_now>{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    chat = Chat("", "strip", read_family(str(path), "<stop_now>"))
    assert chat.prompt("hi") == "<user>hi<stop_now><assistant>"
    read_back = Chat.from_metadata({**chat.metadata(), "tokenizer.chat_template": chat.source})
    assert read_back.prompt("hi") == chat.prompt("hi")
    with pytest.raises(InputError):
        chat.prompt("a<stop_now>b")


DEFAULT_SYSTEM = (
    "{% if messages[0].role != 'system' %}<system>You are {{ '{{' }}Q<end>{% endif %}"
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>{% endfor %}" + OPENED
)
INSIDE = (
    "<s>{% set first = namespace(text='') %}{% for m in messages %}"
    "{% if m.role == 'system' %}{% set first.text = '<<SYS>>' + m.content + '<</SYS>>' %}"
    "{% elif m.role == 'user' %}[INST]{{ first.text + m.content }}[/INST]{% set first.text = '' %}"
    "{% else %} {{ m.content }}<end>{% endif %}{% endfor %}{% if add_generation_prompt %} {% endif %}"
)


@pytest.mark.parametrize("source", [DEFAULT_SYSTEM, INSIDE], ids=["default system", "system inside the first turn"])
@pytest.mark.parametrize("system", ["", "SYS"])
@pytest.mark.parametrize("history", [[], HISTORY, [{"role": "system", "content": "OWN"}, *HISTORY, *HISTORY]])
def test_ollama_renders_a_template_of_ones_own(source: str, system: str, history: list[Message]) -> None:
    chat = Chat(system, "strip", own_family(source, "<end>"))
    turns: list[Message] = [*history, {"role": "user", "content": "q"}]
    assert rendered(go_template(chat), turns, system=system) == chat.prompt("q", history)


@pytest.mark.parametrize("text", ['"""', "\u3000", "\u200b"])
def test_a_template_that_a_modelfile_cannot_hold_is_refused(text: str) -> None:
    source = f"{{% for m in messages %}}<{{{{ m.role }}}}>{{{{ m.content }}}}<end>{text}{{% endfor %}}{OPENED}"
    chat = Chat("", "strip", own_family(source, "<end>"))
    with pytest.raises(RecipeError, match=r"chat\.template holds"):
        render(chat, ExportConfig(), "m.gguf", "MIT")


def test_messages_of_one_role_in_a_row_are_one_and_an_empty_system_message_is_none() -> None:
    chat = Chat("SYS")
    said: list[Message] = [{"role": "user", "content": "a"}]
    assert chat.prompt("b", said) == chat.prompt("a\n\nb")
    assert chat.prompt("b", [{"role": "system", "content": ""}]) == Chat("").prompt("b")


def test_unknown_or_missing_templates_say_what_there_is(tmp_path: Path) -> None:
    for template, end, hint in (
        ("alpaca", None, "chatml"),
        (str(tmp_path / "none.jinja"), "<e>", "UTF-8"),
    ):
        with pytest.raises(RecipeError) as caught:
            read_family(template, end)
        assert hint in caught.value.hint
    (tmp_path / "a.jinja").write_text("x")
    with pytest.raises(RecipeError, match=r"needs chat\.end"):
        read_family(str(tmp_path / "a.jinja"), None)
