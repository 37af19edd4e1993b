"""Ollama's wire format: what a request may hold, and the errors with their status codes and bodies.

Source: Ollama's docs/api.md, api/types.go and server/routes.go.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from drivecoach.chat import Message

T = TypeVar("T", bound=BaseModel)


class WireError(Exception):
    """A refusal: the status code and the text of ``{"error": …}``."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


_MOST = 2**31 - 1
_Count = Annotated[int, Field(ge=-1, le=_MOST)]
"""A number of tokens; -1 is Ollama's way to say all of them."""
_Share = Annotated[float, Field(ge=0, le=1)]
_Penalty = Annotated[float, Field(ge=-100, le=100)]
_Word = Annotated[str, Field(max_length=1000)]


class Options(BaseModel):
    """Generation settings by Ollama's names; what this server cannot change (num_gpu, num_ctx, …) is let pass."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    seed: Annotated[int, Field(ge=-1, le=2**32 - 1)] | None = None
    num_predict: Annotated[int, Field(ge=-2, le=_MOST)] | None = None
    num_keep: _Count | None = None
    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    top_k: _Count | None = None
    top_p: _Share | None = None
    min_p: _Share | None = None
    typical_p: _Share | None = None
    repeat_last_n: _Count | None = None
    repeat_penalty: Annotated[float, Field(gt=0, le=100)] | None = None
    presence_penalty: _Penalty | None = None
    frequency_penalty: _Penalty | None = None
    stop: Annotated[list[_Word], Field(max_length=64)] | _Word | None = None

    def settings(self, own_stop: list[str]) -> dict[str, Any]:
        """The same by llama.cpp's names; the model's own stop words always stay."""
        names = {"num_predict": "n_predict", "num_keep": "n_keep"}
        found = {names.get(key, key): value for key, value in self.model_dump(exclude_none=True).items()}
        if found.get("n_predict") == -2:  # Ollama: until the context is full, where -1 ends here too
            found["n_predict"] = -1
        if found.get("repeat_last_n") == -1:
            found["repeat_last_n"] = _MOST
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
        raise refusal(error) from None


def refusal(error: ValidationError) -> WireError:
    """What is said against a request, every fault by its key."""
    details = error.errors(include_url=False)
    # Ollama reads the options later than the rest, where an option of another type is a 500.
    other = all(detail["loc"][:1] == ("options",) and detail["type"] in _TYPES for detail in details)
    return WireError(500 if other else 400, "; ".join(dict.fromkeys(map(_fault, details))))


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
        kind = detail["type"]
        said = f"must be of type {_TYPES[kind]}" if kind in _TYPES else "must" + detail["msg"].partition("should")[2]
        return f'option "{where[1]}" {said}'
    return f"{'.'.join(where) or 'body'}: {detail['msg']}"


_TYPES = {
    "int_type": "integer",
    "int_parsing": "integer",
    "int_from_float": "integer",
    "float_type": "float32",
    "float_parsing": "float32",
    "string_type": "string",
    "list_type": "array",
}
