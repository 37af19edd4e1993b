"""The endpoints that OpenAI clients use (``/v1/…``), on the same model.

Source: Ollama's docs/openai.md and openai/openai.go. One difference, on purpose: where a client sets no temperature,
the model's own holds (Ollama takes 1.0 there, which makes a greedy coach guess).
"""

from __future__ import annotations

import json
import secrets
import time
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from drivecoach.serve.api import Api
from drivecoach.serve.model import Reply
from drivecoach.serve.wire import Options, Turn, WireError, json_schema, parse, refusal
from drivecoach.serve.work import Piece, streamed


class _Part(BaseModel):
    type: Literal["text"]
    text: str


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_Part] | None = None

    def turn(self) -> Turn:
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content or [])
        return Turn(role="system" if self.role == "developer" else self.role, content=text)


class _Format(BaseModel):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: dict[str, Any] | None = None


class _StreamOptions(BaseModel):
    include_usage: bool = False


class CompletionRequest(BaseModel):
    """The body of ``POST /v1/chat/completions``."""

    model_config = ConfigDict(extra="ignore")

    model: str = ""
    messages: list[_Message] = []
    stream: bool = False
    stream_options: _StreamOptions = _StreamOptions()
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop: list[str] | str | None = None
    response_format: _Format | None = None
    reasoning_effort: Literal["none", "low", "medium", "high"] | None = None
    tools: list[Any] | None = None


def routes(api: Api) -> list[Route]:
    """``/v1/chat/completions`` and ``/v1/models``."""

    async def models(_: Request) -> Response:
        listed = {"id": f"{api.model.name}:latest", "object": "model", "created": 0, "owned_by": "library"}
        return JSONResponse({"object": "list", "data": [listed]})

    async def complete(request: Request) -> Response:
        asked = parse(CompletionRequest, await request.body())
        api.find(asked.model)
        if asked.tools:
            raise WireError(400, f'"{asked.model}" does not support tools')
        if not asked.messages:
            raise WireError(400, "[] is too short - 'messages'")
        effort = None if asked.reasoning_effort is None else asked.reasoning_effort != "none"
        think = api.thinks(asked.model, effort)
        prompt = api.model.prompt([message.turn().message() for message in asked.messages], think=think)
        model, queue = api.model, api.current.served.queue
        settings = _options(asked).settings(model.runtime.settings["stop"])
        schema = _schema(asked.response_format)
        head = {"id": f"chatcmpl-{secrets.token_hex(8)}", "created": int(time.time()), "model": asked.model}
        head["system_fingerprint"] = "fp_drivecoach"

        if not asked.stream:
            answer = await queue.work(
                lambda left: model.answer(prompt, settings, schema, None, think=think, stop=left), request.receive
            )
            message = {"role": "assistant", "content": answer.text} | _reasoning(answer.thinking)
            choice = {"index": 0, "message": message, "finish_reason": _reason(answer)}
            return JSONResponse({**head, "object": "chat.completion", "choices": [choice], "usage": _usage(answer)})

        def chunk(choices: list[dict[str, Any]], **other: Any) -> bytes:
            return _event({**head, "object": "chat.completion.chunk", "choices": choices, **other})

        def line(piece: Piece) -> bytes:
            if isinstance(piece, Reply):
                delta = {"role": "assistant", "content": ""}
                last = chunk([{"index": 0, "delta": delta, "finish_reason": _reason(piece)}])
                return last + (chunk([], usage=_usage(piece)) if asked.stream_options.include_usage else b"")
            thinking, text = piece
            delta = {"role": "assistant", "content": text} | _reasoning(thinking)
            return chunk([{"index": 0, "delta": delta, "finish_reason": None}])

        pieces = queue.stream(
            lambda emit, left: model.answer(prompt, settings, schema, emit, think=think, stop=left), request.receive
        )
        return await streamed(
            pieces, line, lambda error: _event(error_body(error)), "text/event-stream", b"data: [DONE]\n\n"
        )

    return [
        Route("/v1/chat/completions", complete, methods=["POST"]),
        Route("/v1/models", models, methods=["GET"]),
    ]


def error_body(error: WireError) -> dict[str, Any]:
    """An error as OpenAI's clients read it."""
    kinds = {400: "invalid_request_error", 404: "not_found_error"}
    kind = kinds.get(error.status, "api_error")
    return {"error": {"message": error.message, "type": kind, "param": None, "code": None}}


def _options(asked: CompletionRequest) -> Options:
    limit = asked.max_completion_tokens if asked.max_tokens is None else asked.max_tokens
    same = asked.model_dump(include={"temperature", "top_p", "seed", "frequency_penalty", "presence_penalty", "stop"})
    try:
        return Options(num_predict=limit, **same)
    except ValidationError as error:
        raise refusal(error) from None


def _schema(given: _Format | None) -> dict[str, Any] | None:
    if given is None or given.type == "text":
        return None
    if given.type == "json_object":
        return json_schema("json")
    return json_schema((given.json_schema or {}).get("schema"))


def _reasoning(thinking: str) -> dict[str, str]:
    return {"reasoning": thinking} if thinking else {}


def _reason(answer: Reply) -> str:
    return "stop" if answer.completion.finished else "length"


def _usage(answer: Reply) -> dict[str, int]:
    read, written = answer.completion.prompt_tokens, answer.completion.completion_tokens
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"
