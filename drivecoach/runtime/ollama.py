"""Ollama as a runtime: the model's own Modelfile makes the prompt and sets the parameters."""

from __future__ import annotations

import time
from typing import Any, Self

import httpx
import ollama

from drivecoach.chat.template import refuse_control_tokens
from drivecoach.errors import RuntimeFailure
from drivecoach.runtime.base import Completion

TIMEOUT = 120.0
"""Seconds that one answer may take, model loading included."""


class Ollama:
    """A model on an Ollama server; ``host`` None takes ``OLLAMA_HOST`` or 127.0.0.1:11434."""

    slots = 1
    """OLLAMA_NUM_PARALLEL is 1 by default and cannot be asked for."""

    def __init__(self, model: str, host: str | None = None) -> None:
        self.name = f"ollama:{model}"
        self._model = model
        self._client = self._call(lambda: ollama.Client(host=host, timeout=TIMEOUT))
        self._call(self._client.show, model)

    def generate(self, user: str) -> Completion:
        """Answer one user's text through ``/api/generate``."""
        refuse_control_tokens("input", user)
        start = time.perf_counter()
        answer = self._call(self._client.generate, self._model, user)
        thinking = f"<think>\n{answer.thinking}\n</think>\n\n" if answer.thinking else ""
        return Completion(
            text=thinking + answer.response,
            prompt_tokens=answer.prompt_eval_count or 0,
            completion_tokens=answer.eval_count or 0,
            seconds=time.perf_counter() - start,
            finished=answer.done_reason == "stop",
        )

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
            hint = (
                "make it first: drivecoach export RUN (it runs `ollama create`)"
                if error.status_code == 404
                else "see the server's log"
            )
            raise RuntimeFailure(f"Ollama refused {self.name}: {error.error}", hint=hint) from error
        except httpx.TimeoutException as error:
            raise RuntimeFailure(f"Ollama did not answer within {TIMEOUT:.0f} s", hint="try again") from error
        except (ConnectionError, httpx.HTTPError) as error:
            raise RuntimeFailure(
                f"no Ollama server answers: {error}",
                hint="start one with `ollama serve`, set OLLAMA_HOST, or use a GGUF file instead of ollama:NAME",
            ) from error
        except (ValueError, TypeError, AttributeError, httpx.InvalidURL) as error:
            # raised by the client for an address it cannot read and for an answer of another form
            reason = str(error).partition("\n")[0]
            raise RuntimeFailure(
                f"what answers for {self.name} does not speak Ollama's protocol: {reason}",
                hint="check --host and OLLAMA_HOST; the default is http://127.0.0.1:11434",
            ) from error
