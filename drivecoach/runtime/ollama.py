"""Ollama as a runtime: the model's own Modelfile makes the prompt and sets the parameters."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

import httpx

from drivecoach.chat import CLOSING, OPENING, Message
from drivecoach.chat.template import refuse_control_tokens
from drivecoach.domain import JsonObject
from drivecoach.errors import RuntimeFailure, first_line
from drivecoach.runtime.base import TIMEOUT, WARM, Again, Busy, Completion, Down
from drivecoach.runtime.connection import connect, ollama
from drivecoach.text import shown, whole

_RESTART = "the server has trouble; see its log"
_REFUSALS: dict[int, tuple[type[RuntimeFailure], str]] = {
    401: (RuntimeFailure, "the server wants a key: set OLLAMA_API_KEY"),
    403: (RuntimeFailure, "the server wants a key: set OLLAMA_API_KEY"),
    404: (RuntimeFailure, "make it first: drivecoach deploy RUN"),
    408: (Again, _RESTART),
    429: (Busy, "ask for less at once"),
    500: (Again, _RESTART),
    502: (Again, _RESTART),
    503: (Busy, "its queue is full: ask for less at once"),
    504: (Again, _RESTART),
}
"""What a status code means for the one who asked; any other is permanent."""


class Ollama:
    """A model on an Ollama server; ``host`` None takes ``OLLAMA_HOST`` or 127.0.0.1:11434."""

    slots = 1
    """OLLAMA_NUM_PARALLEL is 1 by default and cannot be asked for."""

    def __init__(self, model: str, host: str | None = None, *, timeout: float = TIMEOUT) -> None:
        self.name = f"ollama:{model}"
        self._model = model
        self._timeout = timeout
        self._client = connect(host, timeout)
        told = self._call(self._client.show, model)
        self.metadata: Mapping[str, object] = told.modelinfo or {}
        self.thinks = "thinking" in (told.capabilities or [])

    def generate(
        self,
        user: str,
        history: Sequence[Message] = (),
        *,
        think: bool = True,
        seed: int | None = None,
        schema: JsonObject | None = None,
    ) -> Completion:
        """Answer through ``/api/generate``, a conversation through ``/api/chat``; one that is not done is an Again.

        A ``schema`` for a model that thinks goes through ``/api/chat`` too: there Ollama lets it think first.
        """
        turns: list[Message] = [*history, {"role": "user", "content": user}]
        for turn in turns:
            refuse_control_tokens("input" if turn["role"] == "user" else turn["role"], turn["content"])
        start = time.perf_counter()
        asked: dict[str, Any] = {
            "options": None if seed is None else {"seed": seed, "temperature": WARM},
            "format": schema,
            "think": False if self.thinks and not think else None,
        }
        if history or (schema is not None and self.thinks):
            answer = self._call(lambda: self._client.chat(self._model, turns, **asked))
            text, reasoning = answer.message.content or "", answer.message.thinking
        else:
            answer = self._call(lambda: self._client.generate(self._model, user, **asked))
            text, reasoning = answer.response, answer.thinking
        if not answer.done:
            raise Again(f"{self.name} broke off in the middle of an answer", hint="try again")
        thinking = f"{OPENING}\n{reasoning}\n{CLOSING}\n\n" if reasoning else ""
        return Completion(
            text=whole(thinking + text),
            prompt_tokens=answer.prompt_eval_count or 0,
            completion_tokens=answer.eval_count or 0,
            seconds=time.perf_counter() - start,
            finished=answer.done_reason == "stop",
            prompt_seconds=(answer.prompt_eval_duration or 0) / 1e9,
            completion_seconds=(answer.eval_duration or 0) / 1e9,
        )

    def digest(self) -> str:
        """What tells the model that has this name now from any other; raises RuntimeFailure where none has it."""
        wanted = self._model.removesuffix(":latest").casefold()  # capitals do not tell names apart there
        for listed in self._call(self._client.list).models:
            if (listed.model or "").removesuffix(":latest").casefold() == wanted and listed.digest:
                return str(listed.digest)
        raise RuntimeFailure(f"{self.name} is gone from the server", hint="make it again: drivecoach deploy RUN")

    def close(self) -> None:
        """Drop the connection."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, method: Any, *arguments: Any) -> Any:
        try:
            return method(*arguments)
        except ollama.ResponseError as error:
            kind, hint = _REFUSALS.get(error.status_code, (RuntimeFailure, "see the server's log"))
            raise kind(f"Ollama refused {self.name}: {shown(str(error.error), 300)}", hint=hint) from error
        except (httpx.ReadTimeout, httpx.WriteTimeout, httpx.PoolTimeout) as error:
            raise Again(f"Ollama did not answer within {self._timeout:g} s", hint="try again") from error
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError) as error:
            raise Again(f"Ollama broke off in the middle of an answer: {error}", hint="try again") from error
        except (ConnectionError, httpx.HTTPError) as error:
            raise Down(
                f"no Ollama server answers: {error}",
                hint="start one with `ollama serve`, set OLLAMA_HOST, or use a GGUF file instead of ollama:NAME",
            ) from error
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            # raised by the client for an answer of another form
            if isinstance(error, json.JSONDecodeError) and error.doc.lstrip().startswith("{"):
                raise Again(f"Ollama broke off in the middle of an answer: {error}", hint="try again") from error
            raise RuntimeFailure(
                f"what answers for {self.name} does not speak Ollama's protocol: {shown(first_line(error), 200)}",
                hint="check --host and OLLAMA_HOST; the default is http://127.0.0.1:11434",
            ) from error
