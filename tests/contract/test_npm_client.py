"""The official npm client against `drivecoach serve`, unchanged: generate, chat, streams, lists, errors, thinking."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivecoach.chat import Chat
from drivecoach.domains.driving import DRIVING
from drivecoach.serve.model import ServedModel
from tests.support.scripted_model import write_scripted_gguf
from tests.support.serving import serving

EXAMPLE = Path(__file__).parents[2] / "examples/javascript"
ANSWER = '{"动作": ["松开油门"], "级别": "提示", "话术": "还没起步，别空轰油门"}'
SCRIPT = """
import { Ollama } from 'ollama'
const [plain, thinking] = [new Ollama({ host: process.argv[2] }), new Ollama({ host: process.argv[3] })]
const prompt = '<特征>速度:静止</特征>'
const messages = [{ role: 'user', content: prompt }]
const join = async (stream, get) => { let text = ''; for await (const part of stream) text += get(part); return text }
const out = {}
out.generate = (await plain.generate({ model: 'goDrive', prompt })).response
out.streamed = await join(await plain.generate({ model: 'goDrive', prompt, stream: true }), p => p.response)
out.chat = (await plain.chat({ model: 'goDrive', messages, format: { type: 'object' }, keep_alive: '5m' })).message.content
out.chatStreamed = await join(await plain.chat({ model: 'goDrive', messages, stream: true }), p => p.message.content)
out.tags = (await plain.list()).models.map(m => m.name)
out.show = (await plain.show({ model: 'goDrive' })).capabilities
out.ps = (await plain.ps()).models.length
try { await plain.generate({ model: 'nope', prompt }) } catch (e) { out.error = [e.status_code, e.error] }
const thought = await thinking.chat({ model: 'goThink', messages, think: true })
out.thinking = [thought.message.thinking.trim(), thought.message.content.trim()]
console.log(JSON.stringify(out))
"""  # noqa: E501


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node.js is not installed")
    folder = tmp_path_factory.mktemp("npm")
    for name in ("package.json", "package-lock.json", "ask.mjs"):
        shutil.copy(EXAMPLE / name, folder)
    subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True, capture_output=True
    )
    yield folder


def test_the_official_npm_client(project: Path, tmp_path: Path) -> None:
    plain = write_scripted_gguf(tmp_path / "plain.gguf", ANSWER, chat=Chat(DRIVING.system))
    pieces = ("<think>\n", "慢\n</think>\n\n")
    said = f"<think>\n慢\n</think>\n\n{ANSWER}"
    thinking = write_scripted_gguf(tmp_path / "thinking.gguf", said, chat=Chat(DRIVING.system, "keep"), pieces=pieces)
    (project / "all.mjs").write_text(SCRIPT, encoding="utf-8")
    with serving(ServedModel(plain, "goDrive")) as first, serving(ServedModel(thinking, "goThink")) as second:
        ended = subprocess.run(["node", "all.mjs", first, second], cwd=project, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        example = subprocess.run(["node", "ask.mjs", first], cwd=project, capture_output=True, text=True)
    out = json.loads(ended.stdout)
    assert out["generate"] == out["streamed"] == out["chat"] == out["chatStreamed"] == ANSWER
    assert out["tags"] == ["goDrive:latest"]
    assert (out["show"], out["ps"]) == (["completion"], 1)
    assert out["error"] == [404, "model 'nope' not found"]
    assert out["thinking"] == ["慢", ANSWER]
    assert example.returncode == 0, example.stderr
    assert example.stdout == f"提示: 还没起步，别空轰油门 (松开油门)\n{ANSWER}\n"
