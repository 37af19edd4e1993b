"""The rules in place of a model: a domain's teacher answers, with no file and no server."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Self

from drivecoach.chat import Message
from drivecoach.chat.template import refuse_control_tokens
from drivecoach.domain import AnyDomain, Domain, JsonObject, SchemaForm
from drivecoach.domains.load import load_domain
from drivecoach.domains.stored import DOMAIN
from drivecoach.errors import InputError, ModelError
from drivecoach.runtime.base import RULES, TIMEOUT, Completion


def with_domain(model: str, domain: str | None) -> str:
    """``rules`` with ``--domain`` are that domain's rules; every other model stays what it is."""
    return f"{RULES}:{domain}" if model == RULES and domain else model


class Rules:
    """``rules`` answers by the driving rules, ``rules:DOMAIN`` by the teacher of a domain with a name or a file.

    Every question is answered alone, whatever was said before it, and a seed changes nothing.
    """

    slots = 1
    thinks = False

    def __init__(self, model: str | AnyDomain = "", host: str | None = None, *, timeout: float = TIMEOUT) -> None:
        domain = model if isinstance(model, Domain) else load_domain(model or "driving")
        self.name = f"{RULES}:{domain.name}"
        if host:
            raise ModelError(
                f"{self.name} answers in this process, not by the server at {host}", hint="leave --host out"
            )
        if not domain.has_teacher:
            raise ModelError(
                f"there are no rules to answer by: the domain {domain.name} has no teacher",
                hint="override teach in its class, or ask a model",
            )
        self.metadata: Mapping[str, object] = {DOMAIN: domain}
        self._domain = domain

    def generate(
        self,
        user: str,
        history: Sequence[Message] = (),
        *,
        think: bool = True,
        seed: int | None = None,
        schema: JsonObject | None = None,
    ) -> Completion:
        """The canonical text of the teacher's answer; tokens are counted as characters.

        Raises InputError for what is no input of the domain, one that the rules say nothing about, and a schema that
        their answer does not follow.
        """
        start = time.perf_counter()
        for text in (user, *(turn["content"] for turn in history)):
            refuse_control_tokens("input", text)
        answer = self._domain.teach(self._domain.read_input(user))
        if answer is None:
            raise InputError(
                f"the rules of {self._domain.name} say nothing about this input", hint="ask a model, or add a rule"
            )
        if schema is not None and schema != self._domain.answer.schema:
            SchemaForm(schema, "answer").parse(self._domain.answer.dump(answer))
        text = self._domain.write_answer(answer)
        seconds = time.perf_counter() - start
        return Completion(text, max(1, len(user)), max(1, len(text)), seconds, finished=True, source=RULES)

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
