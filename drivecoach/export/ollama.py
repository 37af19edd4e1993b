"""Making the model known to an Ollama server over its HTTP API: here or on another machine, without its program.

Source: Ollama's docs/api.md (blobs, create, show) and server/routes.go (``_debug_render_only``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import ollama

from drivecoach.chat import Message
from drivecoach.config import check_model_name
from drivecoach.errors import RuntimeFailure
from drivecoach.files import sha256

OLDEST = (0, 5, 5)
"""The first version whose ``/api/create`` takes files by digest."""
_MINUTES = 600.0
_BLOCK = 1 << 20


class OllamaHost:
    """An Ollama server; ``host`` None takes ``OLLAMA_HOST`` or 127.0.0.1:11434."""

    def __init__(self, host: str | None = None) -> None:
        # The official client knows how to read addresses and OLLAMA_HOST; the calls below are not in it.
        self.http = ollama.Client(host=host, timeout=_MINUTES)._client
        self.url = str(self.http.base_url).rstrip("/")

    def version(self) -> str:
        """The server's version. Raises RuntimeFailure when nobody answers or it is too old."""
        found = str(self.call("GET", "/api/version").get("version", ""))
        numbers = version_numbers(found)
        if numbers and numbers < OLDEST:
            raise RuntimeFailure(
                f"Ollama {found} at {self.url} cannot be given a model over its API",
                hint="update it to 0.5.5 or later, or use its program: ollama create NAME -f Modelfile",
            )
        return found

    def create(
        self,
        name: str,
        gguf: Path,
        *,
        template: str,
        system: str,
        parameters: dict[str, Any],
        quantize: str | None = None,
    ) -> None:
        """Upload ``gguf`` unless the server has its bytes, and make the model ``name`` of it."""
        check_model_name(name, tag=True)
        digest = f"sha256:{sha256(gguf)}"
        if self._request("HEAD", f"/api/blobs/{digest}").status_code != 200:
            headers = {"content-length": str(gguf.stat().st_size)}
            self._refuse(self._request("POST", f"/api/blobs/{digest}", content=_blocks(gguf), headers=headers))
        body = {
            "model": name,
            "files": {gguf.name: digest},
            "template": template,
            "system": system,
            "parameters": {key: [value] if key == "stop" else value for key, value in parameters.items()},
            "stream": False,
        }
        self.call("POST", "/api/create", body | ({"quantize": quantize} if quantize else {}))

    def show(self, name: str) -> dict[str, Any]:
        """Everything the server says about a model."""
        return self.call("POST", "/api/show", {"model": name})

    def render(self, name: str, turns: Sequence[Message], think: bool | None, *, chat: bool) -> str | None:
        """The prompt that the server makes of a conversation, uncut; None where it cannot tell."""
        answer = self.call("POST", *_asked(name, turns, think, chat=chat, _debug_render_only=True, truncate=False))
        rendered = (answer.get("_debug_info") or {}).get("rendered_template")
        return None if rendered is None else str(rendered)

    def prompt_tokens(self, name: str, turns: Sequence[Message], think: bool | None, *, chat: bool) -> int:
        """How many tokens the server read, for one that cannot show its prompt."""
        answer = self.call("POST", *_asked(name, turns, think, chat=chat, options={"num_predict": 1}))
        return int(answer.get("prompt_eval_count") or 0)

    def answer(self, name: str, turns: Sequence[Message], think: bool | None, *, chat: bool) -> tuple[str, str]:
        """(reasoning, answer)."""
        answer = self.call("POST", *_asked(name, turns, think, chat=chat))
        said = answer.get("message") or {}
        text = said.get("content", "") if chat else answer.get("response", "")
        return str(said.get("thinking") or answer.get("thinking") or ""), str(text)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One request, and the JSON object that answers it. Raises RuntimeFailure."""
        response = self._request(method, path, **({"json": body} if body is not None else {}))
        self._refuse(response)
        try:
            value = response.json()
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise RuntimeFailure(f"what answers at {self.url} does not speak Ollama's protocol", hint="check --host")
        return value

    def close(self) -> None:
        """Drop the connection."""
        self.http.close()

    def _request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            response: httpx.Response = self.http.request(method, path, **arguments)
            return response
        except httpx.HTTPError as error:
            raise RuntimeFailure(
                f"no Ollama server answers at {self.url}: {error}",
                hint="start one with `ollama serve`, or name it with --host or OLLAMA_HOST",
            ) from error

    def _refuse(self, response: httpx.Response) -> None:
        if response.is_success:
            return
        try:
            reason = str(response.json()["error"])
        except (ValueError, KeyError, TypeError):
            reason = response.text.strip()[:200]
        raise RuntimeFailure(
            f"Ollama at {self.url} refused {response.request.url.path}: {response.status_code} {reason}",
            hint="see the server's log",
        )


def version_numbers(version: str) -> tuple[int, ...]:
    """``0.33.0-rc2`` as (0, 33, 0); empty for a version that is not made of numbers, as a build from source has."""
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    numbers = tuple(map(int, match.groups())) if match else ()
    return numbers if any(numbers) else ()


def _asked(
    name: str, turns: Sequence[Message], think: bool | None, *, chat: bool, **other: Any
) -> tuple[str, dict[str, Any]]:
    body: dict[str, Any] = {"model": name, "stream": False, **other}
    if think is not None:
        body["think"] = think
    if chat:
        return "/api/chat", body | {"messages": list(turns)}
    system = {"system": turns[0]["content"]} if turns[0]["role"] == "system" else {}
    return "/api/generate", body | system | {"prompt": turns[-1]["content"]}


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            yield block
