"""The one model that is served: its names, its answers, and how Ollama's tags, show and ps describe it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import prod
from pathlib import Path
from typing import Any

from drivecoach.chat import CLOSING, Chat, Message
from drivecoach.config import check_model_name
from drivecoach.errors import InputError, RuntimeFailure
from drivecoach.export import modelfile
from drivecoach.files import sha256
from drivecoach.gguf.reader import describe
from drivecoach.infer import flat
from drivecoach.runtime.base import Completion
from drivecoach.runtime.llamacpp import LlamaCpp
from drivecoach.serve.schema import check_schema
from drivecoach.serve.thinking import ThinkSplitter
from drivecoach.serve.wire import WireError
from drivecoach.verify.certificate import certificate_of

Emit = Callable[[str, str], bool]
"""Gets (reasoning, answer) as they grow; True stops the generation."""


@dataclass(frozen=True)
class Reply:
    """One answer, taken apart, and what it cost."""

    thinking: str
    text: str
    completion: Completion


class ServedModel:
    """A GGUF file that drivecoach exported, in the embedded llama.cpp; ``name``: by default the file's.

    Raises ModelError for a name that is none, and for a file that cannot be used.
    """

    def __init__(self, path: Path, name: str | None = None) -> None:
        self.runtime = LlamaCpp(path)
        self.name = file_name(path) if name is None else name
        check_model_name(self.name)
        self.runtime.start()
        self.chat: Chat = self.runtime.chat
        self.thinks = self.runtime.thinks
        self._path = path
        self._metadata = self.runtime.metadata
        self._size = path.stat().st_size
        self._modified = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat()
        self._details = _details(path, self._metadata)
        self.digest = sha256(path)

    def warm(self) -> None:
        """Answer once, freely and under a schema, so that nobody's first request waits for what is made only once."""
        prompt = self.chat.prompt("?")
        self.runtime.complete(prompt)
        self.runtime.complete(prompt, {"n_predict": 2})
        self.runtime.complete(prompt, {"n_predict": 1, "json_schema": {"type": "object"}})

    def has_name(self, name: str) -> bool:
        """Whether a client means this model; Ollama ignores case and adds ``:latest``."""
        return name.lower().removesuffix(":latest") == self.name.lower()

    def prompt(self, turns: list[Message], *, think: bool) -> str:
        """The prompt for a conversation; what a client may not say is a 400."""
        if turns[-1]["role"] != "user" or any(turn["role"] == "tool" for turn in turns):
            raise WireError(400, "the last message must be the user's, and there are no tools")
        try:
            return self.chat.prompt(turns[-1]["content"], turns[:-1], think=think)
        except InputError as error:
            raise WireError(400, flat(error)) from None

    def answer(
        self,
        prompt: str,
        settings: dict[str, Any],
        schema: dict[str, Any] | None,
        emit: Emit | None,
        *,
        think: bool,
        raw: bool = False,
        stop: Callable[[], bool] | None = None,
        alone: str = "",
    ) -> Reply:
        """Continue ``prompt``; unless ``raw``, the reasoning of a model that thinks is taken off the answer.

        A ``schema`` would forbid such a model its ``<think>``: it thinks first, and the schema holds for what
        comes after. ``stop`` ends the answer where it says True. ``alone``: the user's text where nothing stands before
        it; by it the answer is guessed, which saves time where the guess is right. Raises WireError.
        """
        if schema is not None:
            check_schema(schema)
        split = self.thinks and not raw
        splitter = ThinkSplitter()
        thinking: list[str] = []
        answer: list[str] = []

        def keep(parts: tuple[str, str]) -> bool:
            thinking.append(parts[0])
            answer.append(parts[1])
            return emit is not None and any(parts) and emit(*parts)

        def feed(text: str) -> bool:
            return keep(splitter.feed(text) if split else ("", text))

        streamed = feed if emit else None
        try:
            if schema is not None and split and think:
                ends = {"stop": [*self.runtime.settings["stop"], CLOSING]}
                first = self.runtime.complete(prompt, settings | ends, stop=stop)
                feed(first.text + CLOSING)
                prompt += first.text + CLOSING + "\n\n"
            constraint = {"json_schema": schema} if schema is not None else {}
            draft = self.runtime.draft(alone) if alone and not self.thinks else ""
            completion = self.runtime.complete(prompt, settings | constraint, streamed, stop=stop, draft=draft)
        except InputError:
            raise WireError(400, "the input length exceeds the context length") from None
        except RuntimeFailure as error:
            raise WireError(500, error.message) from None
        if streamed is None:
            feed(completion.text)
        if split:
            keep(splitter.end())
        return Reply("".join(thinking), "".join(answer), completion)

    def listed(self) -> dict[str, Any]:
        """The model's entry in ``/api/tags``."""
        return {
            "name": f"{self.name}:latest",
            "model": f"{self.name}:latest",
            "modified_at": self._modified,
            "size": self._size,
            "digest": self.digest,
            "details": self._details,
        }

    def loaded(self) -> dict[str, Any]:
        """The model's entry in ``/api/ps``; it never expires, which Ollama writes as a date far away."""
        entry = self.listed()
        del entry["modified_at"]
        return {
            **entry,
            "expires_at": "2318-01-01T00:00:00Z",
            "size_vram": 0,
            "context_length": self.runtime.context,
        }

    def shown(self) -> dict[str, Any]:
        """The answer of ``/api/show``, with the file's digest; no path of this machine is in it."""
        settings = self.runtime.settings
        parameters = {
            "stop": f'"{self.chat.end}"',
            "temperature": f"{settings['temperature']:g}",
            "num_ctx": self.runtime.context,
            "num_predict": settings["n_predict"],
        }
        template = modelfile.go_template(self.chat)
        quotes = '"""'
        return {
            "modelfile": f"FROM {self._path.name}\nTEMPLATE {quotes}{template}{quotes}\n",
            "parameters": "\n".join(f"{key:<30} {value}" for key, value in parameters.items()),
            "template": template,
            "system": self.chat.system,
            "details": self._details,
            "model_info": {**self._metadata, **self._certificate()},
            "capabilities": ["completion", *(["thinking"] if self.thinks else [])],
            "modified_at": self._modified,
            "digest": self.digest,
        }

    def _certificate(self) -> dict[str, Any]:
        """What a verification of this very file came to; nothing where there is none."""
        found = certificate_of(self._path)
        if found is None:
            return {}
        told = found.model_dump(mode="json", include={"date", "states", "wrong", "lowered", "clean", "seal"})
        told["violations"] = sum(found.violations.values())
        return {f"drivecoach.certificate.{name}": value for name, value in told.items()}


def file_name(path: Path) -> str:
    """The model's name that a file name holds: without what says how it is quantized."""
    return re.sub(r"[-._](bf16|f16|f32|i?q\d\w*)$", "", path.name.removesuffix(".gguf"), flags=re.IGNORECASE)


def _details(path: Path, metadata: Mapping[str, object]) -> dict[str, Any]:
    family = str(metadata.get("general.architecture", ""))
    parameters = sum(prod(shape) for _, _, shape in describe(path))
    size = f"{parameters / 1e9:.1f}B" if parameters >= 1e9 else f"{parameters / 1e6:.2f}M"
    kind = _FILE_TYPES.get(str(metadata.get("general.file_type")), "unknown")
    return {
        "parent_model": "",
        "format": "gguf",
        "family": family,
        "families": [family],
        "parameter_size": size,
        "quantization_level": kind,
    }


_FILE_TYPES = {"0": "F32", "1": "F16", "7": "Q8_0", "15": "Q4_K_M"}
