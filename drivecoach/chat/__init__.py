"""The only place where a prompt is made and an answer is taken apart."""

from drivecoach.chat.template import CONTROL_TOKENS, END, PAD, Answer, Chat

__all__ = ["CONTROL_TOKENS", "END", "PAD", "Answer", "Chat"]
