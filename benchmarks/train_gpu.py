"""Training speed of Qwen3-0.6B's real shape with random weights: plain PEFT against Unsloth, 16 against 4 bits.

    python benchmarks/train_gpu.py            # on a GPU: bf16 LoRA and 4-bit QLoRA, every variant in its own process
    python benchmarks/train_gpu.py --toy      # anywhere: a toy shape and a few steps, to see that the script runs

Tokens per second count every token that is not padding. The share of the chip's matrix peak counts 4 floating-point
operations a weight and token (forward, and backward through frozen weights) and the attention's own; what gradient
checkpointing does again is not counted.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SHAPES = {
    "real": {"vocab_size": 151_936, "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28}
    | {"num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128},
    "toy": {"vocab_size": 2048, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    | {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32},
}
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "RTX 4090": 165e12, "RTX 3090": 71e12}
"""Dense bf16 matrix peaks in FLOP/s, from the makers' data sheets."""
LORA = {"r": 16, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]}

VARIANTS = {
    "TRL defaults, bf16": {"backend": "peft", "whole_loss": True, "batch": 8, "checkpointing": True},
    "our recipe, peft, bf16": {"backend": "peft", "batch": 2, "accumulate": 4, "checkpointing": True},
    "our recipe, peft, bf16, batch 32": {"backend": "peft", "batch": 32, "checkpointing": False},
    "our recipe, unsloth, bf16": {"backend": "unsloth", "batch": 2, "accumulate": 4, "checkpointing": True},
    "our recipe, unsloth, bf16, batch 32": {"backend": "unsloth", "batch": 32, "checkpointing": False},
    "our recipe, peft, 4 bits": {"backend": "peft", "batch": 2, "accumulate": 4, "checkpointing": True, "bits": 4},
    "our recipe, unsloth, 4 bits": {"backend": "unsloth", "batch": 2, "accumulate": 4, "checkpointing": True}
    | {"bits": 4},
    "our recipe, peft, bf16, padding-free": {"backend": "peft", "batch": 32, "padding_free": True},
}


def save_base(folder: Path, shape: dict[str, int]) -> None:
    """Random weights of the shape, with a byte-level tokenizer."""
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(models.BPE({piece: row for row, piece in enumerate(alphabet)}, []))
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    raw.add_special_tokens([AddedToken(text, special=True) for text in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|im_end|>", pad_token="<|endoftext|>")  # noqa: S106
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = Qwen3Config(**shape, tie_word_embeddings=True, max_position_embeddings=2048)
    Qwen3ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)


def token_rows(count: int, vocabulary: int, *, whole_loss: bool) -> list[dict[str, list[int]]]:
    """Rows as long as driving pairs are in Qwen3's tokens: 150 to 200 of prompt, 40 to 90 of answer."""
    draw = random.Random(3407)
    rows = []
    for _ in range(count):
        prompt = [draw.randrange(vocabulary) for _ in range(draw.randint(150, 200))]
        answer = [draw.randrange(vocabulary) for _ in range(draw.randint(40, 90))]
        rows.append({"input_ids": prompt + answer, "labels": (prompt if whole_loss else [-100] * len(prompt)) + answer})
    return rows


def measure(folder: Path, options: dict[str, Any], steps: int) -> dict[str, Any]:
    """One variant, in this process."""
    if options["backend"] == "unsloth":
        import os

        os.environ.setdefault("UNSLOTH_DISABLE_STATISTICS", "1")
        import unsloth  # noqa: F401
    import torch
    from transformers import AutoConfig, Trainer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from datasets import Dataset
    from drivecoach.chat import Chat
    from drivecoach.config import Recipe
    from drivecoach.train.backend import BACKENDS, Job

    cuda = torch.cuda.is_available()
    batch, accumulate = options["batch"], options.get("accumulate", 1)
    recipe = Recipe.model_validate(
        {
            "name": "bench",
            "data": {"path": "none"},
            "base": {"source": "local", "name": str(folder)},
            "train": {
                "backend": options["backend"],
                "lora": LORA,
                "quantize": "4bit" if options.get("bits") == 4 else None,
                "gradient_checkpointing": options.get("checkpointing", False),
                "precision": "bf16",
                "max_length": 512,
            },
        }
    )
    backend = BACKENDS.load(options["backend"])
    model, tokenizer = backend.load(Job(recipe, Chat(""), (), (), (), folder), torch.bfloat16)
    config = AutoConfig.from_pretrained(folder)
    rows = token_rows(steps * batch * accumulate, config.vocab_size, whole_loss=options.get("whole_loss", False))
    times: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            if cuda:
                torch.cuda.synchronize()
            times.append(time.perf_counter())

    class OnCpu(SFTTrainer):
        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            if cuda or backend.OWN_LOSS:
                return super().compute_loss(*args, **kwargs)
            return Trainer.compute_loss(self, *args, **kwargs)

    with tempfile.TemporaryDirectory() as output:
        trainer = OnCpu(
            model=model,
            processing_class=tokenizer,
            train_dataset=Dataset.from_list(rows),
            args=SFTConfig(
                output_dir=output,
                max_steps=steps,
                per_device_train_batch_size=batch,
                gradient_accumulation_steps=accumulate,
                gradient_checkpointing=options.get("checkpointing", False),
                padding_free=options.get("padding_free", False),
                max_length=None if options.get("padding_free") else 512,  # no row is as long
                bf16=True,
                use_cpu=not cuda,
                save_strategy="no",
                logging_steps=steps,
                report_to="none",
                disable_tqdm=True,
                dataset_kwargs={"skip_prepare_dataset": True},
            ),
            callbacks=[Clock()],
        )
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        trainer.train()
    warm = min(len(times) - 2, 3)  # the first steps compile and allocate
    seconds = times[-1] - times[warm]
    tokens = sum(len(row["input_ids"]) for row in rows) * (len(times) - 1 - warm) / len(times)
    weights = sum(
        config.hidden_size * width * config.num_hidden_layers
        for width in (
            2 * config.num_attention_heads * config.head_dim,
            2 * config.num_key_value_heads * config.head_dim,
            3 * config.intermediate_size,
        )
    )
    weights += config.vocab_size * config.hidden_size
    length = sum(len(row["input_ids"]) for row in rows) / len(rows)
    attention = 8 * config.num_hidden_layers * config.num_attention_heads * config.head_dim * length / 2
    name = torch.cuda.get_device_name() if cuda else "CPU"
    peak = next((value for key, value in PEAKS.items() if key in name), None)
    speed = tokens / seconds
    return {
        "device": name,
        "tokens_per_second": speed,
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30 if cuda else None,
        "share_of_peak": speed * (4 * weights + attention) / peak if peak else None,
    }


def main() -> None:
    """Print one line a variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true", help="a toy shape and 6 steps")
    parser.add_argument("--steps", type=int, default=0, help="optimizer steps (default 40, toy 6)")
    parser.add_argument("--only", default="", help="only variants whose name holds this text")
    parser.add_argument("--one", nargs=2, metavar=("FOLDER", "VARIANT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    steps = options.steps or (6 if options.toy else 40)
    if options.one:
        print(json.dumps(measure(Path(options.one[0]), VARIANTS[options.one[1]], steps)))
        return
    with tempfile.TemporaryDirectory() as folder:
        save_base(Path(folder), SHAPES["toy" if options.toy else "real"])
        print(f"{'variant':40} {'tokens/s':>9} {'peak GiB':>9} {'of peak':>8}")
        for name in (name for name in VARIANTS if options.only in name):
            command = [sys.executable, __file__, "--steps", str(steps), "--one", folder, name]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
                print(f"{name:40} failed: {reason[:100]}", flush=True)
                continue
            found = json.loads(done.stdout.splitlines()[-1])
            peak = f"{found['peak_gib']:.2f}" if found["peak_gib"] else "-"
            share = f"{found['share_of_peak']:.1%}" if found["share_of_peak"] else "-"
            print(f"{name:40} {found['tokens_per_second']:9.0f} {peak:>9} {share:>8}  {found['device']}", flush=True)


if __name__ == "__main__":
    main()
