"""The only place where a prompt is made and an answer is taken apart."""

from drivecoach.chat.family import FAMILIES, Family, family, own_family, read_family
from drivecoach.chat.template import (
    CLOSING,
    CONTROL_TOKENS,
    END,
    NO_THINKING,
    OPENING,
    PAD,
    Chat,
    Parts,
    Thinking,
    chat_of,
)
from drivecoach.chat.turns import Message

__all__ = [
    "CLOSING",
    "CONTROL_TOKENS",
    "END",
    "FAMILIES",
    "NO_THINKING",
    "OPENING",
    "PAD",
    "Chat",
    "Family",
    "Message",
    "Parts",
    "Thinking",
    "chat_of",
    "family",
    "own_family",
    "read_family",
]
