"""Deploying a run to Ollama, and the proof that what is served there equals what was trained."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from drivecoach.chat import Chat
from drivecoach.config import ExportConfig
from drivecoach.errors import Fault, RuntimeFailure
from drivecoach.export import modelfile
from drivecoach.export.ollama import OllamaHost, version_numbers
from drivecoach.export.proof import FULL, compare_answers, compare_prompts

_TRAPS: tuple[tuple[tuple[int, ...], str], ...] = (
    ((0, 9, 0), "before 0.9.0 there is no `think`: reasoning stays in the answer"),
    ((0, 11, 5), "before 0.11.5 the server cannot show its prompt: only the number of its tokens was compared"),
)
"""(first version without it, what is known to go wrong before)."""
_FORMAT = "`format` on /api/generate forbids a model that thinks its <think>: use /api/chat, or no `format`"


@dataclass(frozen=True)
class Deployed:
    """A model on an Ollama server, proved equal to its training."""

    name: str
    host: str
    version: str
    traps: tuple[str, ...]
    prompts: int
    """How many rendered prompts were compared, over both endpoints and every way to set ``think``."""
    compared: Literal["text", "tokens"]
    answers: int

    def rows(self) -> dict[str, str]:
        """For a table."""
        return {
            "model": f"{self.name} on {self.host} (Ollama {self.version})",
            "template, system, parameters": "as sent",
            "prompts": f"{self.prompts} equal to training's (by {self.compared}), hostile texts among them",
            "answers": f"{self.answers} equal to the GGUF's in the embedded runtime",
            "known traps": "; ".join(self.traps) or "none of this version",
        }


def deploy(
    host: OllamaHost,
    name: str,
    gguf: Path,
    chat: Chat,
    export: ExportConfig,
    inputs: Sequence[str],
    *,
    quantize: str | None = None,
    local: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Deployed:
    """Create ``name`` from ``gguf`` on the server and prove it with ``inputs`` (held-out canonical inputs).

    ``quantize``: let Ollama quantize the f16 file. ``local``: the file whose answers it must give, ``gguf`` by default.
    Raises RuntimeFailure that names every difference.
    """
    version = host.version()
    say(f"deploy: {gguf.name} to {name} on {host.url} (Ollama {version})")
    sent = {"template": modelfile.go_template(chat), "system": chat.system}
    parameters = modelfile.parameters(chat, export)
    host.create(name, gguf, **sent, parameters=parameters, quantize=quantize)
    _require(name, "shows other settings than were sent", _settings_faults(host.show(name), sent, parameters))
    prompts, compared, faults = compare_prompts(host, name, chat, gguf, inputs, FULL)
    _require(name, "is asked in another way than it was trained", faults)
    _require(name, "answers otherwise than the file", compare_answers(host, name, chat, local or gguf, inputs, FULL))
    numbers = version_numbers(version)
    traps = [text for first, text in _TRAPS if numbers and numbers < first]
    if chat.thinking != "strip":
        traps.append(_FORMAT)
    return Deployed(name, host.url, version, tuple(traps), prompts, compared, len(inputs[: FULL.answers]))


def _settings_faults(shown: dict[str, Any], sent: dict[str, str], parameters: dict[str, Any]) -> list[Fault]:
    faults = [
        Fault(key, repr(shown.get(key, ""))[:200], repr(value)[:200])
        for key, value in sent.items()
        if shown.get(key, "") != value
    ]
    found = read_parameters(str(shown.get("parameters", "")))
    for key, value in parameters.items():
        if not _same(found.get(key), value):
            faults.append(Fault(f"parameter {key}", str(found.get(key, "missing")), str(value)))
    return faults


def read_parameters(text: str) -> dict[str, str]:
    """``/api/show``'s parameters, one ``name  value`` a line, as a dict; quotes are taken off."""
    pairs = (line.split(maxsplit=1) for line in text.splitlines() if line.strip())
    return {pair[0]: "".join(shlex.split(pair[1])) if '"' in pair[1] else pair[1] for pair in pairs if len(pair) == 2}


def _same(found: str | None, sent: str | int | float) -> bool:
    if found is None:
        return False
    return found == sent if isinstance(sent, str) else float(found) == float(sent)


def _require(name: str, what: str, faults: list[Fault]) -> None:
    if faults:
        raise RuntimeFailure(
            f"{name} {what} ({len(faults)} differences)",
            faults=faults[:10],
            hint="do not use it: it would not answer as the trained model. Update Ollama or drivecoach, then deploy",
        )
