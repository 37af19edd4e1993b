"""Deploying a run to Ollama so that nothing there is harmed: made aside, proved, and only then given its name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any, Literal

from drivecoach.chat import Chat
from drivecoach.config import ExportConfig, check_model_name
from drivecoach.errors import Fault, ModelError, RuntimeFailure
from drivecoach.export import about, modelfile
from drivecoach.export.ollama import OllamaHost, Shown, version_numbers
from drivecoach.export.proof import FULL, Counts, compare_answers, compare_prompts, comparisons
from drivecoach.gguf.reader import read_metadata
from drivecoach.progress import progress

_TRAPS: tuple[tuple[tuple[int, ...], str], ...] = (
    ((0, 9, 0), "before 0.9.0 there is no `think`: reasoning stays in the answer"),
    ((0, 11, 5), "before 0.11.5 the server cannot show its prompt: only the number of its tokens was compared"),
)
"""(first version without it, what is known to go wrong before)."""
_TEMPORARY = "deploying-[0-9a-f]{4}"
"""The tag, or the end of it, of a model that is not proved yet."""
_FORMAT = "`format` on /api/generate forbids a model that thinks its <think>: use /api/chat, or no `format`"


@dataclass(frozen=True)
class Candidate:
    """A model that is to be deployed, and what it is proved with."""

    gguf: Path
    chat: Chat
    export: ExportConfig
    inputs: Sequence[str]
    """Held-out canonical inputs, at least one."""
    quantize: str | None = None
    """Let Ollama quantize the f16 file so."""
    local: Path | None = None
    """The file whose answers it must give; ``gguf`` by default."""


@dataclass(frozen=True)
class Deployed:
    """A model on an Ollama server, proved equal to its training."""

    name: str
    host: str
    version: str
    digest: str
    replaced: str | None
    """The digest of the model that had the name before and is kept as `previous_name`; None where none was replaced."""
    traps: tuple[str, ...]
    prompts: int
    """How many rendered prompts were compared, over both endpoints and every way to set ``think``."""
    compared: Literal["text", "tokens"]
    answers: int

    def rows(self) -> dict[str, str]:
        """For a table."""
        kept = f"{self.replaced[:12]}, kept as {previous_name(self.name)}" if self.replaced else "nothing"
        return {
            "model": f"{self.name} on {self.host} (Ollama {self.version}), {self.digest[:12]}",
            "replaced": kept,
            "template, system, parameters": "as sent",
            "prompts": f"{self.prompts} equal to training's (by {self.compared}), hostile texts among them",
            "answers": f"{self.answers} equal to the GGUF's in the embedded runtime",
            "known traps": "; ".join(self.traps) or "none of this version",
        }


@dataclass(frozen=True)
class RolledBack:
    """A name that is again the model it was before the last deployment."""

    name: str
    host: str
    digest: str
    """The model that has the name now, and was kept as `previous_name`."""
    replaced: str | None
    """The model that had it, and is kept as `previous_name` now; None where the name was gone."""


def deploy(
    host: OllamaHost,
    name: str,
    candidate: Candidate,
    counts: Counts = FULL,
    *,
    judge: Callable[[str], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> Deployed:
    """Make the candidate under a temporary name, prove it there, and only then let it have ``name``.

    ``judge`` is given the digest of the model that has the name, and raises where that shall keep it. Whatever is
    raised, Ctrl-C included, the name is left as it was and the temporary one is removed; those of a deployment that
    was killed are removed by the next one. Raises RuntimeFailure that names every difference found.
    """
    check_name(name)
    name = name.removesuffix(":latest")
    version = host.version()
    say(f"deploy: {candidate.gguf.name} to {name} on {host.url} (Ollama {version})")
    before = host.digest(name)
    if before is not None:
        judge(before)
    for left in [model for model in host.models() if _is_temporary(model, name)]:
        host.delete(left)
        say(f"deploy: removed {left}, left by a deployment that was broken off")
    temporary = _temporary(name)
    say(f"deploy: made and proved as {temporary} before it gets the name")
    try:
        compared = _prove(host, temporary, candidate, counts)
        made = host.digest(temporary)
        if made is None:
            raise RuntimeFailure(f"{host.url} does not list {temporary} after making it", hint="see the server's log")
        if host.digest(name) != before:
            raise RuntimeFailure(
                f"{name} on {host.url} has become another model while this one was proved",
                hint="nothing was changed; see who else deploys there, then deploy again",
            )
        if made != before:
            if before is not None:
                host.copy(name, previous_name(name))
            host.copy(temporary, name)
    finally:
        _remove(host, temporary, say)
    numbers = version_numbers(version)
    traps = [text for first, text in _TRAPS if numbers and numbers < first]
    if candidate.chat.thinking != "strip":
        traps.append(_FORMAT)
    replaced = before if made != before else None
    answers = len(candidate.inputs[: counts.answers])
    return Deployed(name, host.url, version, made, replaced, tuple(traps), *compared, answers)


def roll_back(host: OllamaHost, name: str, say: Callable[[str], None] = lambda _: None) -> RolledBack:
    """Let ``name`` and what `deploy` kept when it replaced it change places, so that doing it twice changes nothing.

    Raises RuntimeFailure where nothing is kept.
    """
    check_name(name)
    name = name.removesuffix(":latest")
    host.version()
    kept = previous_name(name)
    now, before = host.digest(name), host.digest(kept)
    if before is None:
        raise RuntimeFailure(
            f"{host.url} has no {kept}, so there is nothing to go back to",
            hint="a model is kept when `drivecoach deploy` replaces it; deploy the run you want: drivecoach deploy RUN",
        )
    if now is None:
        host.copy(kept, name)
        return RolledBack(name, host.url, before, None)
    temporary = _temporary(name)
    try:
        host.copy(name, temporary)
        host.copy(kept, name)
        host.copy(temporary, kept)
    finally:
        _remove(host, temporary, say)
    return RolledBack(name, host.url, before, now)


def previous_name(name: str) -> str:
    """What the model is called that ``name`` was before: ``goDrive:previous``, ``goDrive:v2-previous``."""
    return _beside(name, "previous")


def check_name(name: str) -> None:
    """Raise ModelError for what is no name of a model, or one that `deploy` itself gives."""
    check_model_name(name, tag=True)
    if re.fullmatch(f"(.+-)?(previous|{_TEMPORARY})", name.partition(":")[2]):
        raise ModelError(
            f"{name!r} is a name that deploying gives to what it replaces or has not proved yet",
            hint="use another tag: --name goDrive:v2",
        )


def _beside(name: str, what: str) -> str:
    model, _, tag = name.partition(":")
    return f"{model}:{tag}-{what}" if tag else f"{model}:{what}"


def _temporary(name: str) -> str:
    return _beside(name, f"deploying-{token_hex(2)}")


def _is_temporary(model: str, name: str) -> bool:
    return re.fullmatch(re.escape(_beside(name, "")) + _TEMPORARY, model, re.IGNORECASE) is not None


def _remove(host: OllamaHost, temporary: str, say: Callable[[str], None]) -> None:
    try:
        if host.digest(temporary) is not None:
            host.delete(temporary)
    except RuntimeFailure as error:
        say(f"deploy: could not remove {temporary}, the next deployment will: {error.message}")


def _prove(
    host: OllamaHost, name: str, candidate: Candidate, counts: Counts
) -> tuple[int, Literal["text", "tokens"]]:
    """Create the model and compare all that can be compared; how many prompts, and by what."""
    chat, gguf, inputs = candidate.chat, candidate.gguf, candidate.inputs
    sent = {"template": modelfile.go_template(chat), "system": chat.system}
    parameters = modelfile.parameters(chat, candidate.export)
    license = str(read_metadata(gguf).get(about.LICENSE, ""))
    host.create(name, gguf, **sent, license=license, parameters=parameters, quantize=candidate.quantize)
    _require("shows other settings than were sent", _settings_faults(host.show(name), sent, parameters))
    with progress("prove", comparisons(chat, inputs, counts), unit="comparison") as task:
        prompts, compared, faults = compare_prompts(host, name, chat, gguf, inputs, counts, task.advance)
        _require("is asked in another way than it was trained", faults)
        local = candidate.local or gguf
        faults = compare_answers(host, name, chat, local, inputs, counts, task.advance)
        _require("answers otherwise than the file", faults)
    return prompts, compared


def _settings_faults(shown: Shown, sent: dict[str, str], parameters: dict[str, Any]) -> list[Fault]:
    faults = [
        Fault(key, repr(found)[:200], repr(sent[key])[:200])
        for key, found in (("template", shown.template), ("system", shown.system))
        if found != sent[key]
    ]
    given = read_parameters(shown.parameters)
    for key, value in parameters.items():
        if not _same(given.get(key), value):
            faults.append(Fault(f"parameter {key}", repr(given.get(key, "missing"))[:200], str(value)))
    return faults


def read_parameters(text: str) -> dict[str, str]:
    """``/api/show``'s parameters, one ``name  value`` a line, as a dict; quotes are taken off."""
    pairs = (line.split(maxsplit=1) for line in text.splitlines() if line.strip())
    return {pair[0]: _unquoted(pair[1]) for pair in pairs if len(pair) == 2}


def _unquoted(value: str) -> str:
    try:
        return "".join(shlex.split(value)) if '"' in value else value
    except ValueError:  # quotes that do not end
        return value


def _same(found: str | None, sent: str | int | float) -> bool:
    if found is None or isinstance(sent, str):
        return found == sent
    try:
        return float(found) == float(sent)
    except ValueError:
        return False


def _require(what: str, faults: list[Fault]) -> None:
    if faults:
        raise RuntimeFailure(
            f"not deployed: the model {what} ({len(faults)} differences)",
            faults=faults[:10],
            hint="what was there before is there still. Update Ollama or drivecoach, then deploy again",
        )
