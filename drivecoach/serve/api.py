"""Ollama's endpoints (``/api/…``): a request in, the model's answer out, whole or streamed line by line."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from drivecoach.chat import Message
from drivecoach.serve.current import Current
from drivecoach.serve.model import Reply, ServedModel
from drivecoach.serve.wire import (
    ChatRequest,
    GenerateRequest,
    Options,
    ShowRequest,
    WireError,
    json_schema,
    parse,
    unloads,
)
from drivecoach.serve.work import Piece, streamed

Body = dict[str, Any]
Shape = Callable[[str, str], Body]
"""Puts (reasoning, answer) where an endpoint's answers carry them."""


class Api:
    """The endpoints on the model that is served now."""

    def __init__(self, current: Current, version: str) -> None:
        self.current = current
        self.version = version

    @property
    def model(self) -> ServedModel:
        """The model of now; a 404 where there is none."""
        if (model := self.current.served.model) is None:
            raise WireError(404, f"{self.current.served.name} is served through /coach only")
        return model

    def routes(self) -> list[Route]:
        """What is offered; the rest of Ollama (pull, push, create, embed, …) is a 404."""
        return [
            Route("/", self.root, methods=["GET", "HEAD"]),
            Route("/api/generate", self.generate, methods=["POST"]),
            Route("/api/chat", self.chat, methods=["POST"]),
            Route("/api/tags", self.tags, methods=["GET", "HEAD"]),
            Route("/api/show", self.show, methods=["POST"]),
            Route("/api/ps", self.running, methods=["GET"]),
            Route("/api/version", self.about, methods=["GET", "HEAD"]),
        ]

    async def root(self, _: Request) -> Response:
        """What apps look for to see whether Ollama is there."""
        self.model  # noqa: B018  # where there is none, nothing here is like Ollama
        return PlainTextResponse("Ollama is running")

    async def tags(self, _: Request) -> Response:
        """The models that can be asked: one."""
        return JSONResponse({"models": [self.model.listed()]})

    async def running(self, _: Request) -> Response:
        """The models in memory: the same one."""
        return JSONResponse({"models": [self.model.loaded()]})

    async def about(self, _: Request) -> Response:
        """Our own version, marked so that nobody takes it for Ollama's."""
        return JSONResponse({"version": self.version})

    async def show(self, request: Request) -> Response:
        """Everything about the model."""
        asked = parse(ShowRequest, await request.body())
        name = asked.model or asked.name
        if not name:
            raise WireError(400, "model is required")
        self.find(name if ":" in name else f"{name}:latest")  # the form in which Ollama says it is not there
        return JSONResponse(self.model.shown())

    async def generate(self, request: Request) -> Response:
        """One prompt, one answer."""
        asked = parse(GenerateRequest, await request.body())
        self.find(asked.model)
        for field in ("template", "suffix", "images"):
            if getattr(asked, field):
                raise WireError(400, f'"{asked.model}" does not support {field}')
        if asked.raw and asked.system:
            raise WireError(400, "raw mode does not support template, system, or context")
        if not asked.prompt:
            reason = "unload" if unloads(asked.keep_alive) else "load"
            return JSONResponse(self._chunk(asked.model, _response("", ""), done_reason=reason))
        think = self.thinks(asked.model, asked.think)
        turns: list[Message] = [{"role": "system", "content": asked.system}] if asked.system else []
        turns.append({"role": "user", "content": asked.prompt})
        prompt = asked.prompt if asked.raw else self.model.prompt(turns, think=think)
        alone = "" if asked.raw or asked.system else asked.prompt
        return await self._answer(request, asked, prompt, _response, think=think, raw=asked.raw, alone=alone)

    async def chat(self, request: Request) -> Response:
        """A conversation, and its next turn."""
        asked = parse(ChatRequest, await request.body())
        if not asked.model:
            raise WireError(400, "model is required")
        self.find(asked.model)
        if asked.tools:
            raise WireError(400, f'"{asked.model}" does not support tools')
        if any(turn.images for turn in asked.messages):
            raise WireError(400, f'"{asked.model}" does not support images')
        if not asked.messages:
            reason = "unload" if unloads(asked.keep_alive) else "load"
            return JSONResponse(self._chunk(asked.model, _message("", ""), done_reason=reason))
        think = self.thinks(asked.model, asked.think)
        prompt = self.model.prompt([turn.message() for turn in asked.messages], think=think)
        alone = asked.messages[0].content if len(asked.messages) == 1 else ""
        return await self._answer(request, asked, prompt, _message, think=think, alone=alone)

    def find(self, name: str) -> None:
        """Refuse any model but ours; the name of a request never reaches a path."""
        if not self.model.has_name(name):
            raise WireError(404, f"model '{name[:200]}' not found")

    def thinks(self, name: str, think: bool | str | None) -> bool:
        """Whether the model shall think: unset means yes for one that can."""
        if think and not self.model.thinks:
            raise WireError(400, f'"{name}" does not support thinking')
        return self.model.thinks and think is not False

    async def _answer(
        self,
        request: Request,
        asked: GenerateRequest | ChatRequest,
        prompt: str,
        shape: Shape,
        *,
        think: bool,
        raw: bool = False,
        alone: str = "",
    ) -> Response:
        if asked.debug_render_only:
            debug = {"_debug_info": {"rendered_template": prompt}}
            return JSONResponse(self._chunk(asked.model, shape("", ""), done=False) | debug)
        model, queue = self.model, self.current.served.queue
        settings = (asked.options or Options()).settings(model.runtime.settings["stop"])
        schema = json_schema(asked.format)
        start = time.perf_counter_ns()

        def final(answer: Reply, thinking: str, text: str) -> Body:
            completion = answer.completion
            reason = "stop" if completion.finished else "length"
            return self._chunk(asked.model, shape(thinking, text), done_reason=reason) | {
                "total_duration": time.perf_counter_ns() - start,
                "load_duration": 0,
                "prompt_eval_count": completion.prompt_tokens,
                "prompt_eval_duration": int(completion.prompt_seconds * 1e9),
                "eval_count": completion.completion_tokens,
                "eval_duration": int(completion.completion_seconds * 1e9),
            }

        if asked.stream is False:
            answer = await queue.work(
                lambda left: model.answer(prompt, settings, schema, None, think=think, raw=raw, stop=left, alone=alone),
                request.receive,
            )
            return JSONResponse(final(answer, answer.thinking, answer.text))
        pieces = queue.stream(
            lambda emit, left: model.answer(
                prompt, settings, schema, emit, think=think, raw=raw, stop=left, alone=alone
            ),
            request.receive,
        )

        def line(piece: Piece) -> bytes:
            if isinstance(piece, Reply):
                return _line(final(piece, "", ""))
            return _line(self._chunk(asked.model, shape(*piece), done=False))

        return await streamed(pieces, line, lambda error: _line({"error": error.message}), "application/x-ndjson")

    def _chunk(self, name: str, content: Body, *, done: bool = True, done_reason: str | None = None) -> Body:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        reason = {"done_reason": done_reason} if done_reason else {}
        return {"model": name, "created_at": now, **content, "done": done, **reason}


def _response(thinking: str, text: str) -> Body:
    return {"response": text, **({"thinking": thinking} if thinking else {})}


def _message(thinking: str, text: str) -> Body:
    return {"message": {"role": "assistant", "content": text, **({"thinking": thinking} if thinking else {})}}


def _line(value: Body) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"
