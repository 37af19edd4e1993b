"""What a shipped recipe needs to run on the spot: a tiny base of its architecture, and a few rows of its form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.tiny_models import Kind, Pre, byte_level_tokenizer, gemma_tokenizer, save_model, save_tokenizer

QUESTIONS = [f"第{n}个问题: 前方路口有行人，该怎么做？" for n in range(48)]


def tiny_base(kind: Kind, folder: Path) -> Path:
    """A random model of a real architecture with a realistic tokenizer, saved as a Hugging Face folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "gemma3":
        raw = gemma_tokenizer()
        save_tokenizer(raw, folder, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>")
    else:
        pre: Pre = "qwen2"
        raw = byte_level_tokenizer(pre)
        save_tokenizer(raw, folder, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    # Widths that 4-bit blocks of 64 divide.
    save_model(kind, folder, rows=raw.get_vocab_size() + 13, max_position_embeddings=2048, intermediate_size=128)
    return folder


def rows_of(form: str) -> list[dict[str, Any]]:
    """48 rows in one of the forms that recipes read."""
    rows: list[dict[str, Any]] = []
    for n, question in enumerate(QUESTIONS):
        answer = ("减速慢行。", "停车等待。", "注意观察。")[n % 3]
        turns = [("user", "你好"), ("assistant", "你好!"), ("user", question), ("assistant", answer)]
        rows.append(
            {
                "comments": {"parent_text": question, "comment_body": answer},
                "alpaca": {"instruction": question, "input": "雨天" if n % 2 else "", "output": answer},
                "messages": {"messages": [{"role": role, "content": text} for role, text in turns]},
                "sharegpt": {
                    "conversations": [
                        {"from": "human" if role == "user" else "gpt", "value": text} for role, text in turns
                    ]
                },
                "reasoning": {"problem": question, "generated_solution": f"<think>\n{question}\n</think>\n\n{answer}"},
            }[form]
        )
    return rows


def write_rows(form: str, path: Path) -> Path:
    """Write the rows of a form to a CSV or JSONL file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = rows_of(form)
    with path.open("w", encoding="utf-8", newline="") as stream:
        if path.suffix == ".csv":
            import csv

            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        else:
            stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return path


TINY = [
    "base.source=local",
    "train.max_steps=4",
    "train.checkpoint_steps=2",
    "train.logging_steps=1",
    "train.batch_size=4",
    "train.gradient_accumulation=1",
    "train.warmup_steps=0",
    "train.optimizer=adamw_torch",
    "train.precision=fp32",
    "export.num_predict=8",
    "export.num_ctx=512",
    "evaluate.states=20",
]
"""Overrides under which any shipped recipe runs in seconds; base.name and the data come beside them."""
