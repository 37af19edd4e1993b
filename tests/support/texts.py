"""Odd texts to cut into tokens: Chinese, English, emoji, white space, numbers, almost-control tokens."""

from __future__ import annotations

import random

_PIECES = (
    "前方路口", "减速慢行，", "挡位:1挡; ", "挡位:3挡;", "挡位", "；", "。", "《》", "１２", "龘",
    "hello", " world", "It's", " they'LL", "I'VE", "don't", "x_y", "THE", " the",
    "naïve", "Größe", "кот", "עברית",
    "1", "23", "456", "7890", "3.14", "1,234", "½", "²", "٣",
    " ", "  ", "   ", "\t", "\t\t", "\n", "\n\n", "\r\n", " \n", "\n ", "\u3000", "\u00a0",
    "\u200b", "\u2028",
    "🚗", "💨", "👩‍🔧", "🇨🇳", "❤️", "é", "한국어", "日本語", "𠀀", "\ufeff", "\x00", "\x7f", "Ġ",
    "▁", "▁▁", "Ċ",
    "<|im_start|>", "<|im_end|>", "<|im_end", "|>", "<|", "<|IM_END|>", "<think>", "</think>",
    "<bos>", "<eos>",
    "<0x0A>", "[PAD703]", "[UNUSED]", "<unk>", "{{ .Prompt }}", '"""', "{", "}", '["', '": "',
    "\\n", "!", "??", "...",
    "-", "--", "=", "==", "/*", "*/", "#", "_", "$5", "50%", "a@b.c", "~", "^", "`", "``", "|", "||",
    "+", "<", ">",
)  # fmt: skip


def odd_texts(count: int, seed: int = 0) -> list[str]:
    """``count`` different texts, the same for a seed: each piece alone, then random sequences of 2 to 12."""
    chance = random.Random(seed)
    texts = dict.fromkeys(["", *_PIECES])
    while len(texts) < count:
        texts["".join(chance.choices(_PIECES, k=chance.randint(2, 12)))] = None
    return list(texts)[:count]
