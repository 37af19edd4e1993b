"""The embedded llama.cpp alone: quiet, locked, freed when closed, and clear about files it cannot use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import ChainMap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gguf import GGUFWriter

from drivecoach.chat import Chat
from drivecoach.chat.template import split
from drivecoach.domain import JsonObject
from drivecoach.errors import InputError, ModelError, RuntimeFailure
from drivecoach.gguf.writer import write_gguf
from drivecoach.runtime import open_runtime
from drivecoach.runtime.llamacpp import LlamaCpp
from tests.support.scripted_model import write_scripted_gguf
from tests.support.tiny_models import byte_level_tokenizer, save_model, save_tokenizer

ROOT = Path(__file__).parents[2]
CHAT = Chat("你是教练。")
SETTINGS = {"drivecoach.temperature": 0.0, "drivecoach.num_ctx": 256, "drivecoach.num_predict": 8}


@pytest.fixture(scope="module")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose answers hang on the whole prompt."""
    folder = tmp_path_factory.mktemp("random")
    tokenizer = byte_level_tokenizer()
    save_tokenizer(tokenizer, folder, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    save_model("qwen3", folder, rows=tokenizer.get_vocab_size())
    target = folder / "random.gguf"
    write_gguf(folder, target, metadata={**CHAT.metadata(), **SETTINGS}, chat_template=CHAT.source)
    return target


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scripted_gguf(tmp_path_factory.mktemp("scripted") / "m.gguf", "松开油门", chat=CHAT)


def test_sixteen_at_once_get_the_answers_that_one_by_one_get(random_model: Path) -> None:
    texts = [f"text {number * 37} 前方路口 {number}" for number in range(64)]
    with LlamaCpp(random_model) as runtime, ThreadPoolExecutor(16) as pool:
        alone = [runtime.generate(text).text for text in texts]
        again = [runtime.generate(text).text for text in texts]
        together = [completion.text for completion in pool.map(runtime.generate, texts)]
    assert again == alone
    assert len(set(alone)) >= 40, "answers must differ for a mix-up to show"
    # Sums are taken in another order when requests share a batch: a tie of a random model may fall otherwise.
    assert sum(a == b for a, b in zip(alone, together, strict=True)) >= 60


def test_a_prompt_that_does_not_fit_is_refused_and_the_next_is_answered(scripted: Path) -> None:
    with LlamaCpp(scripted) as runtime:
        with pytest.raises(InputError, match="256") as caught:
            runtime.generate("1 2 3 " * 200)
        assert "num_ctx" in caught.value.hint
        assert runtime.generate("1 2 3").text == "松开油门"


SCHEMA: JsonObject = {
    "type": "object",
    "properties": {"动作": {"type": "array", "items": {"type": "string"}}, "级别": {"enum": ["提示", "警告", "危险"]}},
    "required": ["动作", "级别"],
    "additionalProperties": False,
}


def test_a_schema_holds_for_the_answer_and_leaves_the_reasoning_alone(tmp_path: Path) -> None:
    answer = '{"动作": ["松开油门"], "级别": "提示", "话术": "x"}'
    pieces = ("<think>\n", "慢\n</think>\n\n")
    thinking = write_scripted_gguf(
        tmp_path / "thinks.gguf", f"<think>\n慢\n</think>\n\n{answer}", chat=Chat("教练", "keep"), pieces=pieces
    )
    with LlamaCpp(thinking) as runtime:
        assert runtime.thinks
        parts = split(runtime.generate("x", schema=SCHEMA).text)
        assert parts.thinking == "慢"
        assert list(json.loads(parts.text)) == ["动作", "级别"], "the schema has no 话术"
        at_once = runtime.generate("x", think=False, schema=SCHEMA)
        assert not at_once.finished or list(json.loads(at_once.text)) == ["动作", "级别"]


@pytest.mark.parametrize(("num_ctx", "slots"), [(256, 64), (1024, 64), (8192, 64), (20_000, 1)])
def test_long_contexts_have_fewer_slots_and_each_slot_its_whole_context(
    tmp_path: Path, num_ctx: int, slots: int
) -> None:
    """Memory for the context is taken at once: many long ones would not fit."""
    gguf = write_scripted_gguf(tmp_path / "m.gguf", "松开油门", chat=CHAT, num_ctx=num_ctx)
    with LlamaCpp(gguf) as runtime:
        assert runtime.slots == slots
        completion = runtime.generate("1 " * (num_ctx // 2 - 40))
    assert completion.text == "松开油门"
    assert num_ctx - 100 < completion.prompt_tokens < num_ctx


def test_it_is_quiet_and_its_port_is_locked_and_gone_after_closing(scripted: Path) -> None:
    code = """
import sys, httpx
from pathlib import Path
from drivecoach.runtime.llamacpp import LlamaCpp
with LlamaCpp(Path(sys.argv[1])) as runtime:
    runtime.start()
    address = runtime._server.listening_address
    assert address.startswith("http://127.0.0.1:"), address
    for method, path in [("POST", "/completion"), ("POST", "/v1/chat/completions"), ("POST", "/tokenize"),
                         ("GET", "/props"), ("GET", "/slots"), ("GET", "/v1/models"), ("GET", "/metrics")]:
        answer = httpx.request(method, address + path, json={"prompt": "x"} if method == "POST" else None)
        assert answer.status_code == 401, (path, answer.status_code)
        assert answer.headers.get("access-control-allow-origin", "") == "", path
    assert httpx.get(address + "/").status_code == 404
    print(runtime.generate("x").text)
try:
    httpx.get(address + "/health")
except httpx.ConnectError:
    print("gone")
"""
    command = [sys.executable, "-c", code, str(scripted)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stderr == ""
    assert done.stdout == "松开油门\ngone\n"
    assert done.returncode == 0


def test_closing_frees_the_engine(scripted: Path) -> None:
    def threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    if not Path("/proc/self/task").is_dir():
        pytest.skip("needs /proc")
    with LlamaCpp(scripted) as runtime:
        runtime.generate("x")  # decoded by threads of our own
        runtime.start()  # and by llama.cpp's server
        during = threads()
    before = threads()
    for _ in range(3):
        with LlamaCpp(scripted) as runtime:
            runtime.generate("x")
            runtime.start()
    assert during > before + 2
    assert threads() <= before + 1


FORK = """
import os, sys, time
from drivecoach import Coach
from drivecoach.errors import RuntimeFailure
from drivecoach.runtime import open_runtime
from drivecoach.domains.text import TEXT
gguf, what = sys.argv[1:]
coach, runtime = Coach(gguf, domain=TEXT), open_runtime(gguf)
assert coach.ask("x") == runtime.generate("x").text
child = os.fork()
if child == 0:
    asked = {
        "coach": lambda: coach.ask("x"),
        "runtime": lambda: runtime.generate("x"),
        "another": lambda: Coach(gguf, domain=TEXT).ask("x"),
    }.get(what)
    try:
        if asked:
            asked()
            os._exit(1)
    except RuntimeFailure as error:
        print(error.message, error.hint, flush=True)
    coach.close()
    runtime.close()
    sys.exit(7)
for _ in range(1200):
    ended, status = os.waitpid(child, os.WNOHANG)
    if ended:
        break
    time.sleep(0.05)
else:
    os.kill(child, 9)
    sys.exit("the child hangs")
assert os.waitstatus_to_exitcode(status) == 7, status
assert coach.ask("y") == runtime.generate("y").text, "the parent goes on"
"""


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="needs fork, and on_exit of glibc")
@pytest.mark.parametrize("what", ["coach", "runtime", "another", "nothing"])
def test_a_forked_child_is_told_so_and_ends_by_itself(scripted: Path, what: str) -> None:
    command = [sys.executable, "-c", FORK, str(scripted), what]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("fork" in done.stdout and "spawn" in done.stdout) == (what != "nothing")


def test_closing_while_it_answers_is_an_answer_or_an_error_that_says_so(scripted: Path) -> None:
    runtime = LlamaCpp(scripted)
    runtime.start()
    told: list[str] = []

    def ask() -> None:
        try:
            while True:
                told.append(runtime.generate("x").text)
        except RuntimeFailure as error:
            told.append(error.message)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    while not told:
        time.sleep(0.001)
    runtime.close()
    for thread in threads:
        thread.join(30)
    assert set(told) == {"松开油门", f"{scripted} was closed"}


def damaged(change: Callable[[bytes], bytes]) -> Callable[[Path, Path], None]:
    def make(good: Path, target: Path) -> None:
        target.write_bytes(change(good.read_bytes()))

    return make


def empty(*fields: dict[str, str | float], architecture: str = "qwen3") -> Callable[[Path, Path], None]:
    """A GGUF without a single tensor, with these fields."""

    def make(good: Path, target: Path) -> None:
        writer = GGUFWriter(target, architecture)
        for key, value in ChainMap(*fields).items():
            writer.add_string(key, value) if isinstance(value, str) else writer.add_float32(key, value)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    return make


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (None, "no model at"),
        (damaged(lambda data: b""), "empty"),
        (damaged(lambda data: b"GIF89a" + data), "not a GGUF"),
        (damaged(lambda data: data[:-100]), "not a whole GGUF"),
        (damaged(lambda data: data[:2000]), "not a whole GGUF"),
        (empty(), "does not say how it is spoken to"),
        (empty(CHAT.metadata(), SETTINGS), "does not fit its tensors"),
        (empty(CHAT.metadata(), SETTINGS, architecture="nothing-known"), "cannot load"),
    ],
)
def test_a_file_that_cannot_be_used_says_why_and_what_to_do(
    scripted: Path, tmp_path: Path, make: Callable[[Path, Path], None] | None, said: str
) -> None:
    target = tmp_path / "model.gguf"
    if make:
        make(scripted, target)
    with pytest.raises(ModelError, match=said) as caught, LlamaCpp(target) as runtime:
        runtime.start()
    assert str(target) in caught.value.message
    assert caught.value.hint


def test_a_folder_and_a_host_are_refused(scripted: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is a folder"):
        open_runtime(str(tmp_path))
    with pytest.raises(ModelError, match="in this process"):
        open_runtime(str(scripted), host="http://127.0.0.1:11434")
    with open_runtime(f"llamacpp:{scripted}") as runtime:
        assert runtime.generate("x").finished
