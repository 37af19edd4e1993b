"""Taking reasoning and answer apart while they stream in, piece by piece."""

from __future__ import annotations

from drivecoach.chat import CLOSING, OPENING


class ThinkSplitter:
    """Feed it pieces of a raw answer; a mark may be cut anywhere. White space around the marks is dropped."""

    def __init__(self) -> None:
        self._state = "start"
        self._held = ""

    def feed(self, piece: str) -> tuple[str, str]:
        """The (reasoning, answer) that is certain after one more piece."""
        self._held += piece
        thinking = answer = ""
        if self._state == "start":
            start = self._held.lstrip()
            if OPENING.startswith(start):  # nothing yet, or a beginning of the mark
                return "", ""
            self._state = "think" if start.startswith(OPENING) else "answer"
            self._held = start.removeprefix(OPENING).lstrip("\n") if self._state == "think" else self._held
        if self._state == "think":
            thinking, mark, rest = self._held.partition(CLOSING)
            if mark:
                self._state, self._held = "gap", rest
                thinking = thinking.rstrip()
            else:
                thinking, self._held = _certain(self._held)
        if self._state == "gap":
            self._held = self._held.lstrip()
            self._state = "answer" if self._held else "gap"
        if self._state == "answer":
            answer, self._held = self._held, ""
        return thinking, answer

    def end(self) -> tuple[str, str]:
        """What was held back, once no more pieces come."""
        held, self._held = self._held, ""
        return (held.rstrip(), "") if self._state == "think" else ("", held)


def _certain(text: str) -> tuple[str, str]:
    """Cut before trailing white space and before a possible beginning of the closing mark."""
    for length in range(min(len(CLOSING) - 1, len(text)), -1, -1):
        if text.endswith(CLOSING[:length]):
            sure = text[: len(text) - length].rstrip()
            return sure, text[len(sure) :]
    return text, ""
