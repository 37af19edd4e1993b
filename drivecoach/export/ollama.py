"""Making models known to an Ollama server over its HTTP API: here or on another machine, without its program.

Source: Ollama's docs/api.md (blobs, create, copy, delete, show, tags) and server/routes.go (``_debug_render_only``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, Field

from drivecoach.chat import Message
from drivecoach.config import check_model_name
from drivecoach.errors import RuntimeFailure
from drivecoach.files import sha256
from drivecoach.progress import Task, progress
from drivecoach.runtime import TIMEOUT
from drivecoach.runtime.connection import connect, exchange
from drivecoach.text import shown

OLDEST = (0, 5, 5)
"""The first version whose ``/api/create`` takes files by digest."""
_SECONDS = 30.0
"""What a question takes at most that needs no model."""
_UPLOAD_RATE, _CREATE_RATE = 256 << 10, 1 << 20
"""For so many bytes of a file it is a second more: on the slowest line, and where it is quantized."""
_BLOCK = 1 << 18


class _Nothing(BaseModel):
    """An answer whose status says all."""


class _Refusal(BaseModel):
    error: str


class _Version(BaseModel):
    version: str


class _Listed(BaseModel):
    name: str
    digest: str = Field(pattern="^[0-9a-z:]{1,80}$")


class _Tags(BaseModel):
    models: list[_Listed] | None = None


class Shown(BaseModel):
    """What ``/api/show`` says of a model."""

    template: str = ""
    system: str = ""
    parameters: str = ""
    license: str = ""
    capabilities: list[str] = []


class _Rendered(BaseModel):
    rendered_template: str | None = None


class _Said(BaseModel):
    content: str = ""
    thinking: str | None = None


class _Answer(BaseModel):
    """``/api/generate``'s (``response``) and ``/api/chat``'s (``message``)."""

    response: str = ""
    thinking: str | None = None
    message: _Said = _Said()
    prompt_eval_count: int = 0
    debug: _Rendered | None = Field(None, alias="_debug_info")


Form = TypeVar("Form", bound=BaseModel)


class OllamaHost:
    """An Ollama server; ``host`` None takes ``OLLAMA_HOST`` or 127.0.0.1:11434.

    Every method raises RuntimeFailure when nobody answers in time, or otherwise than Ollama does.
    """

    def __init__(self, host: str | None = None, *, seconds: float = _SECONDS) -> None:
        # The official client knows how to read addresses and OLLAMA_HOST; some of the calls below are not in it.
        self.http = connect(host, seconds)._client
        self.url = str(self.http.base_url).rstrip("/")

    def version(self) -> str:
        """The server's version; one that is too old is refused."""
        found = shown(self._ask(_Version, "GET", "/api/version").version)
        numbers = version_numbers(found)
        if numbers and numbers < OLDEST:
            raise RuntimeFailure(
                f"Ollama {found} at {self.url} cannot be given a model over its API",
                hint="update it to 0.5.5 or later, or use its program: ollama create NAME -f Modelfile",
            )
        return found

    def models(self) -> dict[str, str]:
        """The digest of every model by its name; the tag ``latest`` is left out, as Ollama's users do."""
        listed = self._ask(_Tags, "GET", "/api/tags").models or []
        return {model.name.removesuffix(":latest"): model.digest for model in listed}

    def digest(self, name: str) -> str | None:
        """The digest of one model; None where there is none of that name. Capitals do not tell names apart there."""
        wanted = name.removesuffix(":latest").casefold()
        return next((digest for model, digest in self.models().items() if model.casefold() == wanted), None)

    def create(
        self,
        name: str,
        gguf: Path,
        *,
        template: str,
        system: str,
        parameters: dict[str, Any],
        license: str = "",
        quantize: str | None = None,
    ) -> None:
        """Upload ``gguf`` unless the server has its bytes, and make the model ``name`` of it."""
        check_model_name(name, tag=True)
        size = gguf.stat().st_size
        digest = f"sha256:{sha256(gguf)}"
        if not self._send("HEAD", f"/api/blobs/{digest}").is_success:
            with progress("upload", -(-size // 10**6), unit="MB") as task:
                self._refuse(
                    self._send(
                        "POST",
                        f"/api/blobs/{digest}",
                        _SECONDS + size / _UPLOAD_RATE,
                        content=_blocks(gguf, task),
                        headers={"content-length": str(size)},
                    )
                )
        body = {
            "model": name,
            "files": {gguf.name: digest},
            "template": template,
            "system": system,
            **({"license": license} if license else {}),
            "parameters": {key: [value] if key == "stop" else value for key, value in parameters.items()},
            "stream": False,
            **({"quantize": quantize} if quantize else {}),
        }
        self._ask(_Nothing, "POST", "/api/create", body, _SECONDS + size / _CREATE_RATE)

    def copy(self, name: str, to: str) -> None:
        """Let ``to`` be the model that ``name`` is; a model that had the name ``to`` loses it."""
        self._refuse(self._send("POST", "/api/copy", json={"source": name, "destination": to}))

    def delete(self, name: str) -> None:
        """Take a name away, and with its last name the model."""
        self._refuse(self._send("DELETE", "/api/delete", json={"model": name}))

    def show(self, name: str) -> Shown:
        """The settings of a model."""
        return self._ask(Shown, "POST", "/api/show", {"model": name})

    def render(self, name: str, turns: Sequence[Message], think: bool | None, *, chat: bool) -> str | None:
        """The prompt that the server makes of a conversation, uncut; None where it cannot tell."""
        debug = self._question(name, turns, think, chat=chat, _debug_render_only=True, truncate=False).debug
        return debug.rendered_template if debug else None

    def prompt_tokens(self, name: str, turns: Sequence[Message], think: bool | None, *, chat: bool) -> int:
        """How many tokens the server read, for one that cannot show its prompt."""
        return self._question(name, turns, think, chat=chat, options={"num_predict": 1}).prompt_eval_count

    def answer(self, name: str, turns: Sequence[Message], think: bool | None, *, chat: bool) -> tuple[str, str]:
        """(reasoning, answer)."""
        answer = self._question(name, turns, think, chat=chat)
        text = answer.message.content if chat else answer.response
        return answer.message.thinking or answer.thinking or "", text

    def close(self) -> None:
        """Drop the connection."""
        self.http.close()

    def _question(
        self, name: str, turns: Sequence[Message], think: bool | None, *, chat: bool, **other: Any
    ) -> _Answer:
        body: dict[str, Any] = {"model": name, "stream": False, **other}
        if think is not None:
            body["think"] = think
        if chat:
            return self._ask(_Answer, "POST", "/api/chat", body | {"messages": list(turns)}, TIMEOUT)
        system = {"system": turns[0]["content"]} if turns[0]["role"] == "system" else {}
        asked = body | system | {"prompt": turns[-1]["content"]}
        return self._ask(_Answer, "POST", "/api/generate", asked, TIMEOUT)

    def _ask(
        self, form: type[Form], method: str, path: str, body: dict[str, Any] | None = None, seconds: float | None = None
    ) -> Form:
        """One request, and what answers it."""
        response = self._send(method, path, seconds, **({"json": body} if body is not None else {}))
        self._refuse(response)
        try:
            return form.model_validate_json(response.content)
        except ValueError as error:  # not JSON, not in UTF-8, too deep, or of another form
            raise RuntimeFailure(
                f"what answers at {self.url} does not speak Ollama's protocol: {path} gave "
                f"{shown(response.content.decode('utf-8', 'replace'))!r}",
                hint="check --host and OLLAMA_HOST",
            ) from error

    def _send(self, method: str, path: str, seconds: float | None = None, **arguments: Any) -> httpx.Response:
        if seconds is not None:
            arguments["timeout"] = exchange(seconds)
        try:
            response: httpx.Response = self.http.request(method, path, **arguments)
            return response
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise RuntimeFailure(
                f"no Ollama server answers at {self.url}: {error}",
                hint="start one with `ollama serve`, or name it with --host or OLLAMA_HOST",
            ) from error
        except httpx.HTTPError as error:
            what = "was too slow" if isinstance(error, httpx.TimeoutException) else "broke off"
            raise RuntimeFailure(
                f"what answers at {self.url} {what} in {path}: {shown(str(error), 200) or type(error).__name__}",
                hint="see the server's log; where a proxy stands before it, that one's too",
            ) from error

    def _refuse(self, response: httpx.Response) -> None:
        if response.is_success:
            return
        try:
            reason = _Refusal.model_validate_json(response.content).error
        except ValueError:
            reason = response.content.decode("utf-8", "replace").strip()
        raise RuntimeFailure(
            f"Ollama at {self.url} refused {response.request.url.path}: {response.status_code} {shown(reason, 300)}",
            hint="see the server's log",
        )


def version_numbers(version: str) -> tuple[int, ...]:
    """``0.33.0-rc2`` as (0, 33, 0); empty for a version that is not made of numbers, as a build from source has."""
    match = re.match(r"([0-9]{1,6})\.([0-9]{1,6})\.([0-9]{1,6})", version)
    numbers = tuple(map(int, match.groups())) if match else ()
    return numbers if any(numbers) else ()


def _blocks(path: Path, task: Task) -> Iterator[bytes]:
    sent = 0
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            yield block
            sent += len(block)
            task.update(sent // 10**6)
