"""Ollama's wire format: what a request may hold, and the errors with their status codes and bodies.

Source: Ollama's docs/api.md, api/types.go and server/routes.go.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from drivecoach.chat import Message

T = TypeVar("T", bound=BaseModel)


class WireError(Exception):
    """A refusal: the status code and the text of ``{"error": …}``."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Options(BaseModel):
    """Generation settings by Ollama's names; what this server cannot change (num_gpu, num_ctx, …) is let pass."""

    model_config = ConfigDict(extra="ignore")

    seed: int | None = None
    num_predict: int | None = None
    num_keep: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    repeat_last_n: int | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: list[str] | str | None = None

    def settings(self, own_stop: list[str]) -> dict[str, Any]:
        """The same by llama.cpp's names; the model's own stop words always stay."""
        names = {"num_predict": "n_predict", "num_keep": "n_keep"}
        found = {names.get(key, key): value for key, value in self.model_dump(exclude_none=True).items()}
        if "stop" in found:
            given = [found["stop"]] if isinstance(found["stop"], str) else found["stop"]
            found["stop"] = [*own_stop, *given]
        return found


class _Asked(BaseModel):
    """What ``/api/generate`` and ``/api/chat`` have in common."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    model: str = ""
    stream: StrictBool | None = None
    format: dict[str, Any] | str | None = None
    options: Options | None = None
    think: bool | Literal["low", "medium", "high", "max"] | None = None
    keep_alive: str | float | None = None
    debug_render_only: bool = Field(False, alias="_debug_render_only")


class GenerateRequest(_Asked):
    """The body of ``POST /api/generate``."""

    prompt: str = ""
    system: str = ""
    template: str = ""
    suffix: str = ""
    raw: StrictBool = False
    images: list[Any] | None = None


class Turn(BaseModel):
    """One message of a chat."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    images: list[Any] | None = None

    def message(self) -> Message:
        """The turn as the chat's templates read it."""
        return {"role": self.role, "content": self.content}


class ChatRequest(_Asked):
    """The body of ``POST /api/chat``."""

    messages: list[Turn] = []
    tools: list[Any] | None = None


class ShowRequest(BaseModel):
    """The body of ``POST /api/show``."""

    model: str = ""
    name: str = ""


def parse(kind: type[T], body: bytes) -> T:
    """Read a request's body; a fault in it is an error that names the key, as Ollama's are."""
    if not body.strip():
        raise WireError(400, "missing request body")
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        details = error.errors(include_url=False)
        # Ollama reads the options later than the rest, where every fault is a 500.
        status = 500 if all(detail["loc"][:1] == ("options",) and len(detail["loc"]) > 1 for detail in details) else 400
        raise WireError(status, "; ".join(map(_fault, details))) from None


def json_schema(given: dict[str, Any] | str | None) -> dict[str, Any] | None:
    """The schema that ``format`` asks for: one of its own, or any object for ``json``."""
    if not given:
        return None
    if given == "json":
        return {"type": "object"}
    if isinstance(given, str):
        raise WireError(400, f'invalid format: "{given}"; expected "json" or a valid JSON Schema object')
    return given


def unloads(keep_alive: str | float | None) -> bool:
    """Whether ``keep_alive`` asks to free the model: 0, "0", "0s", …"""
    if isinstance(keep_alive, str):
        return keep_alive.rstrip("hmsnuµ") == "0"
    return keep_alive == 0


def _fault(detail: Any) -> str:
    where = [str(part) for part in detail["loc"]]
    if len(where) > 1 and where[0] == "options":
        return f'option "{where[1]}" must be of type {_TYPES.get(detail["type"], "array")}'
    return f"{'.'.join(where) or 'body'}: {detail['msg']}"


_TYPES = {
    "int_type": "integer",
    "int_parsing": "integer",
    "int_from_float": "integer",
    "float_type": "float32",
    "float_parsing": "float32",
    "string_type": "string",
}
