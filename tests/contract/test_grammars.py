"""Constrained answers of the embedded llama.cpp: the driving schema holds, engines of one process take turns."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from drivecoach.chat import Chat
from drivecoach.domains.driving import DRIVING
from drivecoach.runtime.llamacpp import LlamaCpp
from tests.support.scripted_model import write_scripted_gguf

ANSWER = '{"动作": ["松开油门"], "级别": "提示", "话术": "还没起步，别空轰油门"}'
TURNS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from drivecoach.runtime.llamacpp import LlamaCpp

def ask(runtime):
    settings = {"json_schema": {"type": "object"}, "n_predict": 3}
    return runtime.complete(runtime.chat.prompt("x"), settings).text

for place in range(12):  # closed and opened: an engine may get the address of one that is gone
    with LlamaCpp(sys.argv[1 + place % 2]) as runtime:
        assert ask(runtime).startswith('{"动作')
with LlamaCpp(sys.argv[1]) as first, LlamaCpp(sys.argv[2]) as second, ThreadPoolExecutor(8) as pool:
    said = set(pool.map(ask, [first, second] * 20))
assert len(said) == 1, said
print("done")
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models with vocabularies of different sizes."""
    folder = tmp_path_factory.mktemp("grammars")
    pieces = tuple(f"piece {number}" for number in range(40))
    return [
        write_scripted_gguf(folder / "a.gguf", ANSWER, chat=Chat(DRIVING.system)),
        write_scripted_gguf(folder / "b.gguf", ANSWER, chat=Chat(DRIVING.system), pieces=pieces),
    ]


def test_a_word_that_the_engine_does_not_know_does_not_drop_the_rest_of_a_schema(files: list[Path]) -> None:
    """The driving instruction's schema says uniqueItems; what comes before makes the model say nothing of the kind."""
    assert "uniqueItems" in str(DRIVING.answer.schema)
    with LlamaCpp(files[0]) as runtime:
        prompt = runtime.chat.prompt("x") + "…"
        assert runtime.complete(prompt).text != ANSWER
        held = runtime.complete(prompt, {"json_schema": DRIVING.answer.schema, "n_predict": 64})
    assert held.text.lstrip().startswith('{"')


def test_engines_of_one_process_take_turns_at_grammars(files: list[Path]) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", TURNS, *map(str, files)], capture_output=True, text=True, timeout=300, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "done\n"), ended.stderr[-2000:]
