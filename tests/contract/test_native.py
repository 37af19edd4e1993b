"""Batched decoding through llama.cpp's C functions gives what llama.cpp's own server gives, whatever is guessed."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from drivecoach.chat import Chat
from drivecoach.errors import InputError, ModelError, RuntimeFailure
from drivecoach.gguf.writer import write_gguf
from drivecoach.native import decode, llama
from drivecoach.native.batcher import Batcher
from drivecoach.native.judge import judge, verdicts_of
from drivecoach.runtime.llamacpp import LlamaCpp
from tests.support.tiny_models import byte_level_tokenizer, save_model, save_tokenizer

CHAT = Chat("你是教练。")
LENGTH, LIMIT = 256, 12
WORDS = ["挡位:1挡", "手刹:放下", "速度:适中", "离合:踩下", "speed 12", "长" * 7, "x"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose answers hang on the whole prompt."""
    folder = tmp_path_factory.mktemp("native")
    tokenizer = byte_level_tokenizer()
    save_tokenizer(tokenizer, folder, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    save_model("qwen3", folder, rows=tokenizer.get_vocab_size())
    settings = {"temperature": 0.0, "num_ctx": LENGTH, "num_predict": LIMIT}
    metadata = {**CHAT.metadata(), **{f"drivecoach.{key}": value for key, value in settings.items()}}
    write_gguf(folder, folder / "m.gguf", metadata=metadata, chat_template=CHAT.source)
    return folder / "m.gguf"


@pytest.fixture(scope="module")
def texts(model: Path) -> list[str]:
    """Texts to which the greedy answer hangs on no rounding: batches of another size add up in another order."""
    draw = random.Random(7)
    drawn = ["; ".join(draw.choices(WORDS, k=draw.randint(1, 9))) for _ in range(150)]
    context = llama.Context(model, cells=512, tokens=512, sequences=1, logits=1 << 24, threads=1)
    clear = [text for text in dict.fromkeys(drawn) if _smallest_lead(context, CHAT.prompt(text)) > 0.2]
    context.close()
    return clear[:60]


def _smallest_lead(context: llama.Context, prompt: str) -> float:
    """How far the likeliest token of the greedy answer is ahead of the next at least, in logits."""
    ids = context.tokenize(prompt)
    leads = []
    context.clear()
    tokens, start = ids, 0
    for _ in range(LIMIT):
        context.begin()
        context.want(context.add(tokens, start, 0)[-1:])
        context.decode()
        logits = context.logits[: context.vocabulary_size]
        second, first = sorted(logits)[-2:]
        leads.append(first - second)
        tokens, start = [logits.index(first)], start + len(tokens)
    return min(leads)


@pytest.fixture(scope="module")
def expected(model: Path, texts: list[str]) -> list[str]:
    """The answers of llama.cpp's server, one at a time; it is asked where a setting is not the model's own."""
    with LlamaCpp(model) as runtime:
        return [runtime.complete(CHAT.prompt(text), {"top_k": 1}).text for text in texts]


@pytest.fixture
def batcher(model: Path) -> Iterator[Batcher]:
    made = Batcher(model, length=LENGTH, limit=LIMIT, end=CHAT.end)
    yield made
    made.close()


def test_answers_are_the_servers_from_many_threads_at_once(model: Path, texts: list[str], expected: list[str]) -> None:
    with LlamaCpp(model) as runtime, ThreadPoolExecutor(48) as pool:
        found = list(pool.map(runtime.generate, texts))
    assert [answer.text for answer in found] == expected
    assert len(expected) > 30 and len(set(expected)) > len(expected) / 2, "the answers hang on the prompt"


@pytest.mark.parametrize("kind", ["right", "another row's", "right at first", "longer", "control tokens", "nothing"])
def test_a_guess_never_changes_an_answer(
    kind: str, batcher: Batcher, texts: list[str], expected: list[str]
) -> None:
    drafts = {
        "right": expected,
        "another row's": expected[1:] + expected[:1],
        "right at first": [answer[: len(answer) // 2] + "挡" for answer in expected],
        "longer": [answer + " and more of it" for answer in expected],
        "control tokens": ["<|im_start|>" + answer for answer in expected],
        "nothing": [""] * len(texts),
    }[kind]
    with ThreadPoolExecutor(32) as pool:
        asked = pool.map(lambda text, draft: batcher.ask(CHAT.prompt(text), draft).result(), texts, drafts)
        found = list(asked)
    assert [answer.text for answer in found] == expected


def test_judging_agrees_with_generating(model: Path, texts: list[str]) -> None:
    context = llama.Context(model, cells=2048, tokens=512, sequences=8, logits=1 << 24, threads=1)
    rows = [decode.Row(context.tokenize(CHAT.prompt(text))) for text in texts]
    written = dict(decode.write(context, rows, [LIMIT] * len(rows)))
    right = [decode.Row(row.prompt, written[at].tokens) for at, row in enumerate(rows)]
    wrong = [
        decode.Row(row.prompt, [token if place != at % LIMIT else token + 1 for place, token in enumerate(row.draft)])
        for at, row in enumerate(right)
    ]
    verdicts = dict(verdicts_of(context, [*right, *wrong]))
    context.close()
    assert [verdicts[at].right for at in range(len(verdicts))] == [True] * len(right) + [False] * len(wrong)
    for at in range(len(right)):  # batches of another size add up in another order
        assert written[at].log_probability == pytest.approx(verdicts[at].log_probability, rel=0.05, abs=0.1)
    likelier = [verdicts[at].log_probability > verdicts[at + len(right)].log_probability for at in range(len(right))]
    assert sum(likelier) > 0.9 * len(right)


def test_a_likelier_answer_has_a_higher_log_probability(model: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model.parent)
    reference = AutoModelForCausalLM.from_pretrained(model.parent, dtype=torch.float32)
    prompt, answers = CHAT.prompt("挡位:1挡"), ["挡位", "x", "speed 12"]
    verdicts = list(judge(model, [(prompt, answer) for answer in answers], length=LENGTH, end=CHAT.end))
    for answer, verdict in zip(answers, verdicts, strict=True):
        ids = [tokenizer.encode(text, add_special_tokens=False) for text in (prompt, answer + CHAT.end)]
        with torch.inference_mode():
            logits = reference(torch.tensor([ids[0] + ids[1]])).logits[0, len(ids[0]) - 1 : -1]
        right = torch.log_softmax(logits, dim=-1)[range(len(ids[1])), ids[1]].sum().item()
        assert verdict.log_probability == pytest.approx(right, rel=0.02, abs=0.2)


def test_an_answer_stops_when_it_is_told_to(batcher: Batcher, texts: list[str], expected: list[str]) -> None:
    asked = 0

    def after_three() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    found = batcher.ask(CHAT.prompt(texts[0]), stop=after_three).result()
    assert not found.finished and found.tokens < LIMIT and expected[0].startswith(found.text)


@pytest.mark.parametrize("guess", [True, False])
def test_an_answer_is_told_piece_by_piece_as_it_grows(
    guess: bool, batcher: Batcher, texts: list[str], expected: list[str]
) -> None:
    said: list[list[str]] = [[] for _ in texts]

    def hear(at: int) -> Callable[[str], bool]:
        return lambda piece: said[at].append(piece) or False  # type: ignore[func-returns-value]

    drafts = expected if guess else [""] * len(texts)
    waiting = [
        batcher.ask(CHAT.prompt(text), draft, emit=hear(at))
        for at, (text, draft) in enumerate(zip(texts, drafts, strict=True))
    ]
    assert [answer.result().text for answer in waiting] == expected
    assert ["".join(pieces) for pieces in said] == expected
    assert guess or sum(map(len, said)) > 2 * len(texts)
    left = batcher.ask(CHAT.prompt(texts[0]), emit=lambda _: True).result()
    assert left.tokens < LIMIT and expected[0].startswith(left.text.rstrip("\N{REPLACEMENT CHARACTER}"))


def test_a_prompt_that_is_too_long_fails_alone(batcher: Batcher, texts: list[str], expected: list[str]) -> None:
    with pytest.raises(InputError, match=f"context of {LENGTH} tokens"):
        batcher.ask(CHAT.prompt("长" * LENGTH)).result()
    assert batcher.ask(CHAT.prompt(texts[0])).result().text == expected[0]


def test_many_in_one_call_are_each_answered_as_alone(model: Path, texts: list[str], expected: list[str]) -> None:
    asked = [*texts[:3], "长" * LENGTH, "<|im_start|>", *texts[3:]]
    with LlamaCpp(model) as runtime:
        found = runtime.generate_all([(text, (), True) for text in asked])
    errors = [found.pop(3), found.pop(3)]
    assert [isinstance(error, InputError) for error in errors] == [True, True]
    assert [one.text if not isinstance(one, InputError) else "" for one in found] == expected


def test_one_answer_imports_little(model: Path) -> None:
    code = """
import sys
import drivecoach.stale
from drivecoach.runtime.llamacpp import LlamaCpp
with LlamaCpp(sys.argv[1]) as runtime:
    assert runtime.generate("x").completion_tokens
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code, str(model)], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "drivecoach.native.decode" in loaded
    assert not loaded & {"numpy", "drivecoach.data.check"}, "a cold answer would wait for them"


def test_few_rows_of_a_large_model_are_under_way_at_once(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert LlamaCpp(model).together > 1
    monkeypatch.setattr("drivecoach.runtime.llamacpp.SMALL", model.stat().st_size - 1)
    assert LlamaCpp(model).together == 1, "their answers are written down one by one"


def test_a_row_that_is_too_long_to_judge_is_an_error_in_words(model: Path) -> None:
    with pytest.raises(ModelError, match="longer than the 256"):
        list(judge(model, [("长" * 600, "x")], length=LENGTH, end=CHAT.end))


def test_what_is_closed_says_so(model: Path) -> None:
    made = Batcher(model, length=LENGTH, limit=LIMIT, end=CHAT.end)
    made.close()
    made.close()
    with pytest.raises(RuntimeFailure, match="was closed"):
        made.ask("x")


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(ModelError, match=r"cannot load .*m\.gguf"):
        Batcher(tmp_path / "m.gguf", length=LENGTH, limit=LIMIT, end=CHAT.end)


@pytest.mark.parametrize("change", ["default", "version", "sum"])
def test_another_library_is_noticed_and_the_slower_way_stays(
    change: str, model: Path, texts: list[str], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if change == "default":
        monkeypatch.setitem(llama._FIELDS, "n_batch", (4, "I", 4096))
    elif change == "version":
        monkeypatch.setattr(llama, "wheel_version", lambda: "2027.1.1")
    else:
        monkeypatch.setattr(llama, "isclose", lambda *_, **__: False)
    monkeypatch.setattr(llama, "functions", llama.functions.__wrapped__)
    monkeypatch.setattr(llama, "choosing", llama.choosing.__wrapped__)
    with pytest.raises(llama.NotKnown, match=r"n_batch|only 2026\.10|sums up"):
        Batcher(model, length=LENGTH, limit=LIMIT, end=CHAT.end)
    with LlamaCpp(model) as runtime, pytest.warns(UserWarning, match="one by one"):
        assert runtime.generate(texts[0]).text == expected[0]
