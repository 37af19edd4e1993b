"""Checking a certificate: its seal, every digest, and a random sample of what it says."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from drivecoach.errors import DataError, Fault, ModelError
from drivecoach.evaluate.target import Target
from drivecoach.files import sha256
from drivecoach.progress import progress
from drivecoach.verify import certificate as paper
from drivecoach.verify.answers import answers
from drivecoach.verify.certificate import Certificate
from drivecoach.verify.states import (
    State,
    add_to,
    check_countable,
    domain_digest,
    rules_digest,
    states,
    template_digest,
)

SAMPLE = 400
"""States that are answered again, drawn anew each time."""
_NAMES = {
    "model": "another model file",
    "template": "another template or system message",
    "domain": "other inputs or answers",
    "rules": "other rules (the source of the teacher or of the invariants)",
    "inputs": "other right answers",
    "counterexamples": "another file of counterexamples",
}


class Checked(BaseModel):
    """A certificate that holds, as far as was looked."""

    certificate: Path
    sampled: int
    of: int


def check(path: Path, target: Target, count: int = SAMPLE) -> Checked:
    """Hold the certificate at ``path`` against its target and its domain as they are now.

    Raises DataError for one that was edited or does not hold, and ModelError for one of another model or other rules;
    each names what differs.
    """
    certificate = paper.read(path)
    folder = path if path.is_dir() else path.parent
    domain = target.domain
    check_countable(domain)
    now = {
        "model": target.digest(),
        "template": template_digest(target.chat),
        "domain": domain_digest(domain),
        "rules": rules_digest(domain),
    }
    _refuse(path, certificate, now)
    try:
        listed = sha256(folder / paper.COUNTEREXAMPLES)
    except OSError as error:
        raise DataError(
            f"{folder / paper.COUNTEREXAMPLES} belongs to the certificate and cannot be read: {error.strerror}",
            hint="make both again: drivecoach verify RUN",
        ) from None
    _refuse(path, certificate, {"counterexamples": listed})
    wrong = {one.input for one in paper.read_counterexamples(folder)}
    walked = hashlib.sha256()
    drawn = set(random.SystemRandom().sample(range(certificate.states), min(count, certificate.states)))
    sample: list[State] = []
    with progress("check", certificate.states, unit="state") as task:
        for place, state in enumerate(states(domain)):
            add_to(walked, state)
            if place in drawn:
                sample.append(state)
            task.advance()
    _refuse(path, certificate, {"inputs": walked.hexdigest()})
    faults = list(_differing(target, sample, wrong))
    if faults:
        raise DataError(
            f"{path} does not hold: {len(faults)} of {len(sample)} states drawn at random are answered otherwise "
            "than it says",
            faults=faults[:10],
            hint="make it again with this version of the engine: drivecoach verify RUN",
        )
    return Checked(certificate=path, sampled=len(sample), of=certificate.states)


def _refuse(path: Path, certificate: Certificate, now: dict[str, str]) -> None:
    found = certificate.digests.model_dump()
    faults = [
        Fault(name, f"{found[name][:12]} in the certificate, {digest[:12]} here: {_NAMES[name]}", "the same")
        for name, digest in now.items()
        if found[name] != digest
    ]
    if faults:
        raise ModelError(
            f"{path} is a certificate of something else",
            faults=faults,
            hint="name the model that it is of: drivecoach verify MODEL --check FILE; or verify what is here now: "
            "drivecoach verify RUN",
        )


def _differing(target: Target, sample: list[State], wrong: set[str]) -> Iterator[Fault]:
    for one in answers(target, sample):
        if one.is_right == (one.state.input in wrong):
            said = "right", "wrong"
            yield Fault(one.state.input, said[not one.is_right], said[one.is_right])
