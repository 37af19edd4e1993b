"""Equality along the chain: the merged model, its f16 GGUF and its quantized files answer the same states."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from drivecoach.runtime.llamacpp import LlamaCpp

BATCH = 16


def hugging_face_answers(model_folder: Path, prompts: Sequence[str], max_new_tokens: int) -> list[str]:
    """Greedy answers of a Hugging Face folder to rendered prompts, in 32 bits, end token and padding left out."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(model_folder), padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(str(model_folder), dtype=torch.float32, use_safetensors=True)
    model.eval()
    answers: list[str] = []
    for start in range(0, len(prompts), BATCH):
        batch = tokenizer(list(prompts[start : start + BATCH]), padding=True, return_tensors="pt")
        with torch.inference_mode():
            output = model.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                max_new_tokens=max_new_tokens,
                do_sample=False,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        width = batch["input_ids"].shape[1]
        answers += [_until_end(row[width:].tolist(), tokenizer) for row in output]
    return answers


def gguf_answers(gguf: Path, prompts: Sequence[str]) -> list[str]:
    """Answers of a GGUF file in the embedded llama.cpp to the same rendered prompts."""
    with LlamaCpp(gguf) as runtime, ThreadPoolExecutor(runtime.slots) as pool:
        return [completion.text for completion in pool.map(runtime.complete, prompts)]


def agreement(reference: Sequence[str], other: Sequence[str]) -> float:
    """Share of answers that are the same text."""
    return sum(a == b for a, b in zip(reference, other, strict=True)) / len(reference)


def _until_end(ids: list[int], tokenizer) -> str:  # type: ignore[no-untyped-def]
    end = ids.index(tokenizer.eos_token_id) if tokenizer.eos_token_id in ids else len(ids)
    return str(tokenizer.decode(ids[:end], skip_special_tokens=False))
