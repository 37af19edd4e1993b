"""The domain's expectations tried: whether answers behave as they must when inputs are changed."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from drivecoach.chat.template import split
from drivecoach.domain import AnyDomain, Expectation
from drivecoach.errors import InputError
from drivecoach.evaluate.answers import Advance, Reply, generate_all
from drivecoach.evaluate.result import BehaviourFigures, Rate
from drivecoach.evaluate.scores import AnyCase, Case
from drivecoach.evaluate.target import Target
from drivecoach.infer import Question

INPUTS = 200
"""Inputs that each change is tried on, at most."""
_SEED = 3407
_NAMED = 3


def try_expectations(target: Target, cases: Sequence[AnyCase], advance: Advance) -> list[BehaviourFigures]:
    """How each expectation of the target's domain is met; one whose change fits none of ``cases`` is left out.

    ``advance`` is called once an expectation.
    """
    found = []
    for expectation in target.domain.expectations:
        held = _examples(target, expectation) if expectation.change is None else _changed(target, expectation, cases)
        advance()
        if not held:
            continue
        rate = Rate.of(sum(held.values()), len(held))
        found.append(
            BehaviourFigures(
                name=expectation.name,
                kind=expectation.kind,
                held=rate,
                broken_at_most=rate.missing_at_most,
                broken=[text for text, holds in held.items() if not holds][:_NAMED],
            )
        )
    return found


def _examples(target: Target, expectation: Expectation) -> dict[str, bool]:
    """For each example's input, whether it is answered as it must be."""
    domain = target.domain
    texts = [domain.write_input(domain.read_input(text)) for text, _ in expectation.examples]
    return {
        text: all(domain.compare(right, answer).values())
        for text, (_, right), answer in zip(texts, expectation.examples, _ask(target, texts), strict=True)
    }


def _changed(target: Target, expectation: Expectation, cases: Sequence[AnyCase]) -> dict[str, bool]:
    """For each changed input, whether its answer goes with that to the input as it was.

    A changed text that is no input of the domain is left out, and so is an input without a readable answer before.
    """
    assert expectation.change is not None  # noqa: S101
    domain, random = target.domain, Random(_SEED)  # noqa: S311  # reproducible, not secret
    pairs: dict[str, str] = {}
    for case in cases:
        if len(pairs) == INPUTS:
            break
        text = None if case.question.history else expectation.change(case.question.text, random)
        if text is None or text == case.question.text:
            continue
        try:
            pairs[domain.write_input(domain.read_input(text))] = case.question.text
        except InputError:
            continue
    before, after = _ask(target, list(pairs.values())), _ask(target, list(pairs))
    held = {}
    for text, was, is_now in zip(pairs, before, after, strict=True):
        if was is None:
            continue
        if expectation.holds is None:
            held[text] = all(domain.compare(was, is_now).values())
        else:
            held[text] = is_now is not None and expectation.holds(was, is_now)
    return held


def _ask(target: Target, texts: Sequence[str]) -> list[Any | None]:
    """The answers as they are read; None for one that cannot be."""
    cases: list[AnyCase] = [Case(Question(text), None) for text in texts]
    return [_read(target.domain, reply) for reply in generate_all(target, cases)]


def _read(domain: AnyDomain, reply: Reply) -> Any | None:
    try:
        return None if reply.error else domain.read_answer(split(reply.text).text)
    except InputError:
        return None
