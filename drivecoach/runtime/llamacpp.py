"""llama.cpp inside this process (xllamacpp): answers from a GGUF file, with no server to install."""

from __future__ import annotations

import ctypes
import os
import secrets
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

from drivecoach.chat import CLOSING, Chat, Message
from drivecoach.domain import AnyDomain, JsonObject
from drivecoach.domains.stored import find_domain
from drivecoach.errors import DrivecoachError, InputError, ModelError, RuntimeFailure
from drivecoach.gguf.check import read_model
from drivecoach.native.batcher import SEQUENCES, Batcher, Greedy
from drivecoach.native.llama import SMALL, NotKnown, cores_here
from drivecoach.runtime.base import TIMEOUT, WARM, Completion
from drivecoach.runtime.grammars import GRAMMARS, lenient

SLOTS = 16
"""Requests that llama.cpp's server decodes together: more do not raise its throughput on a few cores."""
_TOGETHER = 64
"""Inputs of one call for many."""
TOKENS = 16 * 1024
"""Context of all slots together: every token of it takes memory from the start (115 kB for Qwen3-0.6B)."""


class LlamaCpp:
    """A GGUF that drivecoach exported; the chat and the generation settings are read from the file itself.

    The engine starts with the first answer.
    """

    def __init__(self, model: str | Path, host: str | None = None, *, timeout: float = TIMEOUT) -> None:
        path = Path(model)
        if path.is_dir():
            raise ModelError(f"{path} is a folder", hint=f"name a GGUF file; a run's are in {path / 'export'}")
        if not path.is_file():
            raise ModelError(
                f"no model at {path}",
                hint="give a GGUF file, ollama:NAME, or rules (no model); `drivecoach tune nano` makes "
                "runs/nano/export/goDrive-q4_K_M.gguf",
            )
        if host:
            raise ModelError(
                f"{path} is answered in this process, not by the server at {host}",
                hint="leave --host out, or give --model ollama:NAME",
            )
        self.metadata: Mapping[str, object] = read_model(path)
        fields: Mapping[str, Any] = self.metadata
        try:
            self.chat = Chat.from_metadata(fields)
            self.context = int(fields["drivecoach.num_ctx"])
            self.settings: dict[str, Any] = {
                "n_predict": int(fields["drivecoach.num_predict"]),
                "temperature": float(fields["drivecoach.temperature"]),
                "stop": [self.chat.end],
                "cache_prompt": True,
            }
        except KeyError as error:
            raise ModelError(
                f"{path} does not say how it is spoken to (no {error})",
                hint="use a GGUF made by `drivecoach export`",
            ) from None
        self.name = str(path)
        self._parallel = max(1, min(SLOTS, TOKENS // self.context))
        together = (TOKENS - self.context) // self.settings["n_predict"]
        self.slots = max(self._parallel, min(2 * SEQUENCES, together)) if self._greedy else self._parallel
        # Of a large model so many answers take minutes, and until they are there none is written down.
        self.together = _TOGETHER if self._greedy and path.stat().st_size <= SMALL else 1
        self.thinks = self.chat.thinking != "strip"
        self._path = path
        self._starting = threading.Lock()
        self._server: Any = None
        self._batcher: Batcher | None = None
        self._fits = True
        self._closed = False
        _OPENED.add(self)

    def start(self) -> None:
        """Load the model now. Raises ModelError for a file that llama.cpp cannot read, RuntimeFailure once closed."""
        self._engine()

    def _engine(self) -> Any:
        _check_process()  # before the lock: what another thread held at the moment of a fork stays locked in the child
        with self._starting:
            if self._closed:
                raise RuntimeFailure(f"{self.name} was closed", hint="open it again, or ask before it is closed")
            if self._server is None:
                self._server = _start(self._path, self.context, self._parallel)
            return self._server

    def generate(
        self,
        user: str,
        history: Sequence[Message] = (),
        *,
        think: bool = True,
        seed: int | None = None,
        schema: JsonObject | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> Completion:
        """Answer one user's text; with a ``schema`` a model that thinks does so first, unconstrained.

        ``stop`` is asked at every token, and ends the answer there when it says True.
        """
        again = {} if seed is None else {"seed": seed, "temperature": max(self.settings["temperature"], WARM)}
        prompt = self.chat.prompt(user, history, think=think)
        if schema is None:
            draft = "" if self.thinks or history else self.draft(user)
            return self.complete(prompt, again, stop=stop, draft=draft)
        if not (self.thinks and think):
            return self.complete(prompt, {**again, "json_schema": schema}, stop=stop)
        first = self.complete(prompt, {**again, "stop": [self.chat.end, CLOSING]}, stop=stop)
        reasoning = first.text + CLOSING + "\n\n"
        rest = self.complete(prompt + reasoning, {**again, "json_schema": schema}, stop=stop)
        return Completion(
            reasoning + rest.text,
            first.prompt_tokens,
            first.completion_tokens + rest.completion_tokens,
            first.seconds + rest.seconds,
            rest.finished,
            first.prompt_seconds + rest.prompt_seconds,
            first.completion_seconds + rest.completion_seconds,
        )

    def generate_all(
        self, questions: Sequence[tuple[str, Sequence[Message], bool]]
    ) -> list[Completion | InputError]:
        """As `generate` for each; all of them wait for a decoder together."""
        batcher = self._batches({})
        begun: list[Callable[[], Future[Greedy]] | Completion | InputError] = []
        for user, history, think in questions:
            try:
                if batcher is None:
                    begun.append(self.generate(user, history, think=think))
                else:
                    draft = "" if self.thinks or history else self.draft(user)
                    begun.append(partial(batcher.ask, self.chat.prompt(user, history, think=think), draft))
            except InputError as error:
                begun.append(error)
        # Asked one right after the other, so that they are decoded beside each other.
        answers = [one() if callable(one) else one for one in begun]
        return [_ended(one) if isinstance(one, Future) else one for one in answers]

    @property
    def _greedy(self) -> bool:
        return bool(self.settings["temperature"] == 0)

    def _batches(self, settings: Mapping[str, Any]) -> Batcher | None:
        """What decodes greedy answers together; None for others, and where the library is not the one that is known."""
        _check_process()
        if not self._greedy or settings:
            return None
        with self._starting:
            if self._closed:
                raise RuntimeFailure(f"{self.name} was closed", hint="open it again, or ask before it is closed")
            if self._batcher is None and self._fits:
                _PROCESSES.add(os.getpid())
                try:
                    self._batcher = Batcher(
                        self._path,
                        length=self.context,
                        limit=self.settings["n_predict"],
                        end=self.chat.end,
                    )
                except NotKnown as error:
                    self._fits = False
                    warnings.warn(f"{error.message}; answers are decoded one by one, which is slower", stacklevel=2)
            return self._batcher

    def draft(self, user: str) -> str:
        """What the model's own domain would answer: a guess that is checked in the same decode, never trusted."""
        domain = self._domain
        if domain is None or not domain.has_teacher:
            return ""
        try:
            answer = domain.teach(domain.read_input(user))
        except InputError:
            return ""
        return "" if answer is None else domain.write_answer(answer)

    @cached_property
    def _domain(self) -> AnyDomain | None:
        try:
            return find_domain(self.metadata, self.name).domain
        except DrivecoachError:  # which whoever asks is told when it matters
            return None

    def complete(
        self,
        prompt: str,
        settings: Mapping[str, Any] | None = None,
        emit: Callable[[str], bool] | None = None,
        *,
        stop: Callable[[], bool] | None = None,
        draft: str = "",
    ) -> Completion:
        """Continue a rendered prompt; ``settings`` override the model's own, by llama.cpp's names.

        ``emit`` gets the answer piece by piece as it grows, and stops the generation by returning True; so does
        ``stop``, which gets nothing. Greedy answers are decoded in batches with those of other threads
        (`drivecoach.native`), where ``draft`` is what the answer may be; the rest by llama.cpp's server.
        """
        if (batcher := self._batches(settings or {})) is not None:
            return _completion(batcher.ask(prompt, draft, stop, emit).result())
        engine = self._engine()
        start = time.perf_counter()
        body = {"prompt": prompt, **self.settings, **(settings or {})}
        constrained = "json_schema" in body
        if constrained:
            body["json_schema"] = lenient(body["json_schema"])
        pieces: list[str] = []
        last: list[Any] = []

        def receive(chunk: Any) -> bool:
            last[:] = [chunk]
            text = chunk["choices"][0]["text"] if "choices" in chunk else ""
            pieces.append(text)
            left = stop is not None and stop()
            return left or (bool(text) and emit is not None and emit(text))

        try:
            with GRAMMARS.turn(engine) if constrained else nullcontext():
                if emit is None and stop is None:
                    receive(engine.handle_completions(body))
                else:
                    engine.handle_completions({**body, "stream": True}, receive)
        except RuntimeError as error:  # what the engine itself cannot read, such as half a surrogate pair
            last[:] = [{"message": str(error)}]
        answer: dict[str, Any] = last[0] if last else {"message": "no answer came"}
        if "choices" not in answer:
            reason = answer.get("error", answer)["message"]
            if "context size" in reason:
                raise InputError(
                    f"the input is too long for the model's context of {self.context} tokens",
                    hint="shorten it, or raise export.num_ctx in the recipe and export again",
                )
            raise RuntimeFailure(f"llama.cpp could not answer: {reason}", hint="check the input and the schema")
        usage, timings = answer.get("usage", {}), answer.get("timings", {})
        return Completion(
            text="".join(pieces),
            prompt_tokens=usage.get("prompt_tokens", 0),
            completion_tokens=usage.get("completion_tokens", len(pieces)),
            seconds=time.perf_counter() - start,
            finished=answer["choices"][0]["finish_reason"] == "stop",
            prompt_seconds=timings.get("prompt_ms", 0) / 1000,
            completion_seconds=timings.get("predicted_ms", 0) / 1000,
        )

    def close(self) -> None:
        """Stop the engine and free its memory, as soon as the answers under way are there."""
        self._closed = True
        self._server = None
        if self._batcher is not None:
            self._batcher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _completion(found: Greedy) -> Completion:
    """Prompt and answer are decoded together: the time is divided among their tokens."""
    each = found.decoding / (found.prompt_tokens + found.tokens or 1)
    return Completion(
        found.text,
        found.prompt_tokens,
        found.tokens,
        found.seconds,
        found.finished,
        prompt_seconds=each * found.prompt_tokens,
        completion_seconds=each * found.tokens,
        log_probability=found.log_probability,
    )


def _ended(answer: Future[Greedy]) -> Completion | InputError:
    try:
        return _completion(answer.result())
    except InputError as error:
        return error


_OPENED: weakref.WeakSet[LlamaCpp] = weakref.WeakSet()
_PROCESSES: set[int] = set()
"""In which process engines were started. Their threads, some of them the library's own, are not in a forked child."""


def _check_process() -> None:
    if _PROCESSES - {os.getpid()}:
        raise RuntimeFailure(
            "llama.cpp was started before this process was forked, and does not work in the child",
            hint="start children by multiprocessing's 'spawn', or fork before the first answer",
        )


def _leave_engines_to_the_parent() -> None:
    """In a forked child: freeing an engine would wait for ever for its threads, which stayed behind."""
    for runtime in _OPENED:
        runtime._batcher = None
        if runtime._server is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(runtime._server))
            runtime._server = None
    if GRAMMARS.engine is not None:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(GRAMMARS.engine))
    on_exit = getattr(ctypes.CDLL(None), "on_exit", None)  # of glibc
    if _PROCESSES and on_exit is not None:
        on_exit(ctypes.CDLL(None)._exit, None)  # before the library's own destructors, which would wait too


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_engines_to_the_parent)


def _start(path: Path, context: int, slots: int) -> Any:
    """The engine, quiet and on a loopback port that nobody can use: its key is random and is thrown away."""
    import xllamacpp

    _PROCESSES.add(os.getpid())
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.n_ctx = context * slots
    parameters.n_parallel = slots
    parameters.cpuparams.n_threads = cores_here()
    parameters.cpuparams_batch.n_threads = cores_here()
    parameters.api_keys = [secrets.token_urlsafe(32)]
    parameters.cors_origins = ""
    parameters.verbosity = -1
    parameters.cache_ram_mib = 0
    parameters.fit_params = False
    parameters.ui = False
    parameters.endpoint_slots = False
    parameters.warmup = False
    try:
        server = xllamacpp.Server(parameters)
    except (RuntimeError, ValueError) as error:
        raise ModelError(
            f"llama.cpp cannot load {path}: {error}", hint="export it again: drivecoach export RUN"
        ) from error
    # The engine's loop may not have begun yet, and if it were stopped before, closing would hang: an answer proves it.
    server.handle_completions({"prompt": [0], "n_predict": 1})
    return server
