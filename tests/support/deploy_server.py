"""A loopback Ollama to deploy to: files by digest, models, copies; it answers by the wire formats of docs/api.md."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from drivecoach.chat import Chat, Message
from drivecoach.export.proof import trained_prompt


@dataclass
class DeployServer:
    """What it holds and was asked; a test spoils one thing."""

    chat: Chat
    """How its models are spoken to."""
    url: str = ""
    version: str = "0.33.0"
    blobs: dict[str, bytes] = field(default_factory=dict)
    uploads: int = 0
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The body of ``/api/create`` by the model's name, its tag said."""
    answers: dict[str, str] = field(default_factory=dict)
    """What the model of a file (``sha256:…``) always answers."""
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    spoil: dict[str, Any] = field(default_factory=dict)

    def digest(self, name: str) -> str | None:
        """A model's digest; None where there is none of that name."""
        model = self.models.get(_tagged(name))
        return None if model is None else hashlib.sha256(json.dumps(model, sort_keys=True).encode()).hexdigest()

    def names(self) -> list[str]:
        """The models as a person calls them."""
        return sorted(name.removesuffix(":latest") for name in self.models)

    def reply(self, method: str, path: str, content: bytes) -> tuple[int, Any]:
        """Status and JSON of one answer; None is an empty one."""
        if path.startswith("/api/blobs/"):
            self.requests.append((method, path, None))
            if method == "HEAD":
                return (200 if path in self.blobs else 404), None
            self.uploads += 1
            self.blobs[path] = content
            return 201, None
        body = json.loads(content or b"{}")
        self.requests.append((method, path, body))
        if path == "/api/version":
            return 200, {"version": self.version}
        if path == "/api/tags":
            listed = [{"name": name, "model": name, "digest": self.digest(name), "size": 1} for name in self.models]
            return 200, {"models": listed}
        if path == "/api/create":
            self.models[_tagged(body["model"])] = {key: value for key, value in body.items() if key != "model"}
            return 200, {"status": "success"}
        name = _tagged(body.get("model") or body.get("source") or "")
        if name not in self.models:
            return 404, {"error": f"model '{name}' not found"}
        if path == "/api/copy":
            self.models[_tagged(body["destination"])] = self.models[name]
            return 200, None
        if path == "/api/delete":
            del self.models[name]
            return 200, None
        return 200, self._of_model(path, body, self.models[name])

    def _of_model(self, path: str, body: dict[str, Any], model: dict[str, Any]) -> dict[str, Any]:
        if path == "/api/show":
            parameters = "\n".join(
                f'{key:<30} "{value[0]}"' if key == "stop" else f"{key:<30} {value}"
                for key, value in model["parameters"].items()
            )
            return {"template": model["template"], "system": model["system"], "parameters": parameters, **self.spoil}
        chat = path == "/api/chat"
        if body.get("_debug_render_only") and "blind" not in self.spoil:
            system: list[Message] = [{"role": "system", "content": body["system"]}] if "system" in body else []
            turns = body["messages"] if chat else [*system, {"role": "user", "content": body["prompt"]}]
            rendered = trained_prompt(self.chat, turns, body.get("think")) + self.spoil.get("rendered", "")
            return {"_debug_info": {"rendered_template": rendered}}
        said = self.spoil.get("answer", self.answers[next(iter(model["files"].values()))])
        return {"message": {"content": said}} if chat else {"response": said, "prompt_eval_count": 1}


@contextmanager
def deploy_server(chat: Chat) -> Iterator[DeployServer]:
    """Serve on a free loopback port."""
    server = DeployServer(chat)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement

        def handle_any(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, value = server.reply(self.command, self.path, content)
            data = b"" if value is None else json.dumps(value, ensure_ascii=False).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_HEAD = do_DELETE = handle_any

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def _tagged(name: str) -> str:
    return name if ":" in name else f"{name}:latest"
