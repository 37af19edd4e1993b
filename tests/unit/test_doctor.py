"""The doctor looks at every part, says how to get what is missing, and fails only for what everything needs."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

from drivecoach import doctor
from drivecoach.cli.app import make_app


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing answers: no hub, no Ollama."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(doctor, "_unsloth", lambda: doctor.Finding("unsloth", False, "not looked for", "install it"))


def test_every_part_is_there_or_says_how_to_get_it(closed: None, tmp_path: Path) -> None:
    findings = {finding.name: finding for finding in doctor.examine(tmp_path / "runs", "http://127.0.0.1:9")}
    assert list(findings) == [
        "Python", "torch", "GPU", "bitsandbytes", "unsloth", "xllamacpp", "Ollama", "disk", "hub",
    ]  # fmt: skip
    assert all(finding.found and (finding.ok or finding.hint) for finding in findings.values())
    assert not findings["hub"].ok and "HF_ENDPOINT" in findings["hub"].hint
    assert "127.0.0.1:9" in findings["Ollama"].found and "ollama serve" in findings["Ollama"].hint


def test_ollamas_version_and_address_are_shown(closed: None, tmp_path: Path) -> None:
    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"version": "0.99.1"}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        found = next(f for f in doctor.examine(tmp_path, address) if f.name == "Ollama")
        server.shutdown()
    assert found.ok and found.found == f"0.99.1 at {address}"


def test_the_command_fails_only_for_what_is_needed(
    closed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = CliRunner().invoke(make_app(), ["doctor", "--runs", str(tmp_path), "--host", "http://127.0.0.1:9"])
    assert run.exit_code == 0 and "hint: " in run.output
    whole = doctor._package

    def without(name: str, *rest: str, **more: bool) -> doctor.Finding:
        return whole("no-" + name if name == "xllamacpp" else name, *rest, **more)

    monkeypatch.setattr(doctor, "_package", without)
    run = CliRunner().invoke(make_app(), ["doctor", "--json", "--runs", str(tmp_path), "--host", "http://127.0.0.1:9"])
    assert run.exit_code == 1
    assert [f["name"] for f in json.loads(run.output) if f["needed"] and not f["ok"]] == ["no-xllamacpp"]


def test_an_unsloth_that_does_not_import_is_said_to_be_broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "unsloth.py").write_text("raise ImportError('no accelerator')")
    (tmp_path / "unsloth-1.0.dist-info").mkdir()
    (tmp_path / "unsloth-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: unsloth\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = doctor._unsloth()
    assert not found.ok and "no accelerator" in found.found
