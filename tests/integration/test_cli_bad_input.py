"""Every kind of bad input at the command line: a message, a hint, exit code 1, no traceback, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from drivecoach.chat import Chat
from drivecoach.cli import main
from drivecoach.domains.driving import DRIVING
from tests.support import command
from tests.support.command import Result, Run
from tests.support.driving import draw_from_few_states, lines
from tests.support.ollama_server import ollama_server
from tests.support.ollama_server import said as answered
from tests.support.scripted_model import write_scripted_gguf

ROOT = Path(__file__).parents[2]
(LINE,) = lines(1)
RECIPE = "name: mine\ndata: {path: pairs.jsonl}\nbase: {source: nano}\n"


def refused(result: Result, *said: str) -> None:
    """As every refusal, and with nothing on stdout."""
    command.refused(result, *said)
    assert result.out == ""


def test_recipes_that_cannot_be_used(run: Run, tmp_path: Path) -> None:
    refused(run("train", "none.yaml"), "no recipe at none.yaml")
    for content, said in (
        (b"", "holds no settings"),
        (b"name: [", "not valid YAML"),
        ("name: 教练".encode("gb18030"), "UTF-8"),
        ((RECIPE + "colour: red\ntrain: {epochz: 3}\n").encode(), "train.epochz: unknown key"),
        ((RECIPE + "domain: cooking\n").encode(), "cooking"),
        ((RECIPE + "chat: {system: 'a<|im_end|>b'}\n").encode(), "<|im_end|>"),
        ((RECIPE + 'chat: {system: "a\\u3000b"}\n').encode(), "u3000"),
    ):
        (tmp_path / "recipe.yaml").write_bytes(content)
        for verb in ("train", "tune"):
            refused(run(verb, "recipe.yaml"), said)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    refused(run("train", "recipe.yaml", "--set", "train.epochs"), "--set 'train.epochs'")
    refused(run("train", "recipe.yaml", "--set", "train.epochs=-1"), "train.epochs", "greater than 0")
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"], "nothing was begun"


NO_DATA = [
    (b"", "is empty"),
    ('{"input": "挡位"}'.encode("gb18030"), "not UTF-8"),
    (b'{"rows": []}', "one JSON object"),
    (b'[{"input": ', "not valid JSON"),
    (None, "no file at"),
]


@pytest.mark.parametrize(("content", "said"), NO_DATA)
def test_data_files_that_cannot_be_used(run: Run, tmp_path: Path, content: bytes | None, said: str) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    if content is not None:
        (tmp_path / "pairs.jsonl").write_bytes(content)
    refused(run("data", "check", "pairs.jsonl"), said)
    refused(run("data", "stats", "pairs.jsonl"), said)
    refused(run("train", "recipe.yaml"), said)
    assert not list(tmp_path.glob("*.rejects.jsonl"))
    assert not list(tmp_path.rglob("manifest.json"))
    assert not list(tmp_path.rglob("*.part"))


def test_refused_rows_stop_a_run_and_lie_in_a_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "pairs.jsonl").write_text('{"input": "x", "output": "y"}\nbroken\n')
    refused(run("train", "recipe.yaml"), "2 of 2 rows", "rejects.jsonl")
    assert len((tmp_path / "runs/mine/data/rejects.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    assert not list(tmp_path.rglob("manifest.json"))


def test_a_base_model_that_is_not_there(run: Run, tmp_path: Path) -> None:
    data = json.loads((ROOT / "datasets" / "driving.json").read_text(encoding="utf-8"))[:30]
    (tmp_path / "pairs.jsonl").write_text(json.dumps(data), encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("source: nano", "source: local, name: nowhere"))
    result = run("train", "recipe.yaml")
    refused(Result(result.code, "", result.err), "no model in nowhere", "base.name")
    assert not (tmp_path / "runs/mine/train/manifest.json").exists()


def test_run_folders_that_are_none(run: Run, tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text("{}")
    for verb in ("export", "evaluate"):
        refused(run(verb, "nothing"), "no run folder", "drivecoach train")
        refused(run(verb, tmp_path), "no run folder")


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("model") / "coach.gguf"
    answer = '{"动作": ["松开油门"], "级别": "提示", "话术": "还没起步，别空轰油门，开近光灯"}'
    return write_scripted_gguf(target, answer, chat=Chat(DRIVING.system))


def test_models_that_cannot_be_used(run: Run, tmp_path: Path, gguf: Path) -> None:
    refused(run("ask", LINE), "no model at runs/nano/export", "drivecoach tune nano")
    (tmp_path / "cut.gguf").write_bytes(gguf.read_bytes()[:-200])
    (tmp_path / "other.gguf").write_bytes(b"PK\3\4 not a model")
    (tmp_path / "lines.txt").write_text(LINE, encoding="utf-8")
    for name, said in (("cut.gguf", "not a whole GGUF"), ("other.gguf", "not a GGUF"), ("none.gguf", "no model at")):
        refused(run("ask", LINE, "--model", name), said)
        refused(run("infer", "lines.txt", "-o", f"{name}.jsonl", "--model", name), said)
    refused(run("ask", LINE, "--model", "ollama:coach", "--host", "127.0.0.1:9"), "no Ollama server", "ollama serve")
    assert not list(tmp_path.glob("*.jsonl"))


def test_lines_that_are_no_state(run: Run, gguf: Path) -> None:
    refused(
        run("ask", "<特征>挡位:9挡; 速度:飞快</特征>", "--model", gguf), "挡位: 9挡", "速度: 飞快", "手刹: missing"
    )
    refused(run("ask", "", "--model", gguf), "手刹")
    refused(run("ask", "x" * 5000, "--model", gguf), "at most 2000 characters")
    refused(run("ask", LINE, "--model", gguf, "--domain", "cooking"), "cooking", "driving")


def test_a_model_that_does_not_say_its_domain(run: Run, tmp_path: Path) -> None:
    with ollama_server(coach=lambda _: answered("x")) as server:
        server.metadata.clear()
        refused(run("ask", LINE, "--model", "ollama:coach", "--host", server.url), "does not say which", "--domain")


def test_input_files_that_cannot_be_used(run: Run, tmp_path: Path, gguf: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "gbk.txt").write_bytes(LINE.encode("gb18030"))
    for name, said in (("none.txt", "no file at"), ("empty.txt", "is empty"), ("gbk.txt", "not UTF-8"), (".", "")):
        refused(run("infer", name, "-o", "out.jsonl", "--model", gguf), said)
    assert not list(tmp_path.glob("out.jsonl*"))


def test_places_that_cannot_be_written(run: Run, tmp_path: Path, gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_from_few_states(monkeypatch)
    (tmp_path / "lines.txt").write_text(LINE, encoding="utf-8")
    refused(run("infer", "lines.txt", "-o", "lines.txt/out.jsonl", "--model", gguf), "could not write")
    refused(run("data", "generate", "lines.txt/x.json", "--count", "200"), "could not write")
    assert (tmp_path / "lines.txt").read_text(encoding="utf-8") == LINE


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("lines.jsonl", "lines.jsonl"),
        ("o.jsonl.part", "o.jsonl"),
        ("o.jsonl.journal", "o.jsonl"),
        ("lines.jsonl", "lines.jsonl.journal"),
        ("lines.jsonl", "coach.gguf"),
        ("lines.jsonl", "link.jsonl"),
    ],
)
def test_an_output_never_destroys_what_is_read(run: Run, tmp_path: Path, source: str, output: str, gguf: Path) -> None:
    (tmp_path / "coach.gguf").write_bytes(gguf.read_bytes())
    (tmp_path / source).write_text("what the driver recorded\n", encoding="utf-8")
    (tmp_path / "link.jsonl").symlink_to(source)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    refused(run("infer", source, "-o", output, "--model", "coach.gguf"), output)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("output", ["folder", ".", "/", "", "/dev/null", "/dev/stdout", "pipe", "n" * 300])
def test_an_output_that_is_no_file_is_refused_before_the_work(
    run: Run, tmp_path: Path, gguf: Path, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lines.txt").write_text(LINE, encoding="utf-8")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr("drivecoach.batch.run.Settings.connect", lambda _: pytest.fail("the work was begun"))
    refused(run("infer", "lines.txt", "-o", output, "--model", gguf), "could not write")
    assert Path("/dev/null").is_char_device()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "lines.txt", "pipe"]


@pytest.mark.parametrize("path", [".", "/", "", "n" * 5000])
def test_paths_that_are_no_file(run: Run, tmp_path: Path, gguf: Path, path: str) -> None:
    (tmp_path / "lines.txt").write_text(LINE, encoding="utf-8")
    refused(run("ask", LINE, "--model", path))
    refused(run("infer", path, "-o", "o.jsonl", "--model", gguf))
    refused(run("infer", "lines.txt", "-o", "o.jsonl", "--model", path))
    refused(run("train", path))
    refused(run("tune", path, "--set", "name=x"))
    refused(run("export", path))
    assert [found.name for found in tmp_path.iterdir()] == ["lines.txt"]


def test_wrong_usage_is_exit_code_2(run: Run) -> None:
    for arguments in (["train"], ["fly"], ["ask", LINE, "--colour", "red"], ["data", "generate", "x", "--count", "0"]):
        result = run(*arguments)
        assert result.code == 2
        assert "Traceback" not in result.err and result.err


def test_a_fault_of_our_own_is_not_hidden(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("drivecoach.cli.data.generate_file", broken)
    monkeypatch.setattr(sys, "argv", ["drivecoach", "data", "generate", "x.json"])
    with pytest.raises(ZeroDivisionError):
        main()


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(28, "No space left on device"), 1, "disk is full"),
        (RuntimeError("[enforce fail at inline_container.cc] file write failed"), 1, "disk is full"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 1, "pip install"),
    ],
)
def test_what_any_verb_may_meet(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr("drivecoach.cli.data.generate_file", broken)
    result = run("data", "generate", "x.json")
    assert result.code == code
    assert said in result.err and "Traceback" not in result.err


GENERATE = """
import sys, pytest
sys.path.insert(0, {root!r})
from drivecoach.cli import main
from tests.support.driving import draw_from_few_states
draw_from_few_states(pytest.MonkeyPatch())
{before}
main()
"""


def generating(target: Path, before: str) -> subprocess.Popen[str]:
    """`drivecoach data generate` in a process of its own; ``before`` is Python that runs in it first."""
    code = GENERATE.format(root=str(ROOT), before=before)
    command = [sys.executable, "-c", code, "data", "generate", str(target), "--count", "200"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_ctrl_c_leaves_no_half_file(tmp_path: Path) -> None:
    """A real SIGINT while a file is being made."""
    target = tmp_path / "out" / "driving.json"
    slow = """
import pathlib, time
write = pathlib.Path.write_text
def late(self, text, **other):
    write(self, text[: len(text) // 2], **other)
    print("half", flush=True)
    time.sleep(60)
pathlib.Path.write_text = late
"""
    process = generating(target, slow)
    assert process.stdout is not None and process.stdout.readline() == "half\n"
    assert [path.name for path in target.parent.iterdir()] == ["driving.json.part"]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err and "Traceback" not in err
    assert list(target.parent.iterdir()) == []


def test_a_full_disk_leaves_no_half_file(tmp_path: Path) -> None:
    target = tmp_path / "driving.json"
    full = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
"""
    process = generating(target, full)
    out, err = process.communicate(timeout=120)
    refused(Result(process.returncode, out, err), f"could not write {target}", "free disk space")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_goes_away_is_no_fault() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "drivecoach", "data", "stats", "datasets/driving.json", "--json"]
    try:
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    finally:
        os.close(writing)
    assert "Traceback" not in done.stderr
