"""A chat template taken apart into the texts around each turn, for servers whose templates are not Jinja."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict


class Message(TypedDict):
    """One turn of a conversation."""

    role: str
    """``system``, ``user`` or ``assistant``."""
    content: str


Render = Callable[[list[Message], bool], str]
"""A conversation as text; with True, up to the opening of the assistant's turn."""


@dataclass(frozen=True, kw_only=True)
class Turns:
    """What stands around the texts of a conversation: each pair is (before, after)."""

    start: str = ""
    """Opens every conversation."""
    without_system: str = ""
    """Follows it where there is no system message."""
    system: tuple[str, str]
    inside: bool = False
    """The system message stands in the next user's turn, before its text; else it has a turn of its own."""
    user: tuple[str, str]
    assistant: tuple[str, str]
    opening: str
    """Opens the answer."""

    def render(self, messages: Sequence[Message]) -> str:
        """The conversation up to the opening of the answer, as the template they were taken from says it."""
        told = any(message["role"] == "system" for message in messages)
        text, system = self.start + ("" if told else self.without_system), ""
        for message in messages:
            before, after = {"system": self.system, "user": self.user}.get(message["role"], self.assistant)
            content = message["content"]
            if message["role"] == "system" and self.inside:
                system = before + content + after
            elif message["role"] == "user":
                text, system = text + before + system + content + after, ""
            else:
                text += before + content + after
        return text + self.opening


class NotTurnByTurn(Exception):
    """A template that says something else than its turns one after the other; the text says what."""


_SYSTEM, _USER, _ANSWER = " \0s ", " \0u ", " \0a "
"""Texts to find again; the spaces tell whether a template cuts them."""


def take_apart(render: Render) -> Turns:
    """The texts around the turns of a template; raises NotTurnByTurn for one that is more than such texts."""
    asked, opened = (render([_said("user", _USER)], answer) for answer in (False, True))
    answered = render([_said("user", _USER), _said("assistant", _ANSWER)], False)
    again = render([_said("user", _USER), _said("assistant", _ANSWER), _said("user", _USER)], False)
    told = render([_said("system", _SYSTEM), _said("user", _USER)], False)
    turn = again.removeprefix(answered)
    user = _around(turn, _USER, "a user's text")
    head = asked.removesuffix(turn)
    start = head if told.startswith(head) else ""
    inside = not told.endswith(turn)
    system = told.removeprefix(start).removesuffix("" if inside else turn)
    if inside:
        system = system.removeprefix(user[0]).removesuffix(_USER + user[1])
    turns = Turns(
        start=start,
        without_system=head.removeprefix(start),
        system=_around(system, _SYSTEM, "a system message"),
        inside=inside,
        user=user,
        assistant=_around(answered.removeprefix(asked), _ANSWER, "an answer"),
        opening=opened.removeprefix(asked),
    )
    for conversation in _conversations():
        if render(conversation, True) != turns.render(conversation):
            raise NotTurnByTurn(
                f"{' '.join(message['role'] for message in conversation)} is not one turn after another"
            )
    return turns


def _conversations() -> Iterator[list[Message]]:
    """What training shows: a system message or none, then user and assistant in turn."""
    for system in ([], [_said("system", _SYSTEM)]):
        for length in (1, 3, 5):
            turns = [_said(("user", "assistant")[n % 2], f" {n} ") for n in range(length)]
            yield [*system, *turns]


def _around(text: str, mark: str, what: str) -> tuple[str, str]:
    before, found, after = text.partition(mark)
    if not found or mark.strip() in after:
        raise NotTurnByTurn(f"{what} is not rendered once and as it is (no trim, no other filter)")
    return before, after


def _said(role: str, content: str) -> Message:
    return {"role": role, "content": content}
