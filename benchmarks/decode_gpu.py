"""Decode rate of Qwen3-0.6B's real shape with random weights, by how many answers are written at once.

    python benchmarks/decode_gpu.py           # on a GPU: bf16, 1, 32 and 256 answers at once
    python benchmarks/decode_gpu.py --toy     # anywhere: a toy shape, to see that the script runs

Baseline: the same model with one answer at a time. Each figure is the median of five generations of 64 tokens after
prompts of 180; reading the prompts is measured apart and taken off.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from train_gpu import SHAPES, save_base
from transformers import AutoModelForCausalLM, PreTrainedModel

PROMPT, ANSWER, REPEATS = 180, 64, 5


def seconds(model: PreTrainedModel, batch: int, tokens: int, vocabulary: int) -> float:
    """Median wall time of writing exactly ``tokens`` after each of ``batch`` random prompts."""
    draw = torch.Generator(device="cpu").manual_seed(batch)
    prompts = torch.randint(300, vocabulary, (batch, PROMPT), generator=draw).to(model.device)
    times = []
    for _ in range(REPEATS + 1):  # the first one allocates
        start = time.perf_counter()
        model.generate(
            input_ids=prompts,
            attention_mask=torch.ones_like(prompts),
            min_new_tokens=tokens,
            max_new_tokens=tokens,
            do_sample=False,
            pad_token_id=0,
        )
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return median(times[1:])


def main() -> None:
    """Print one line a batch size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true", help="a toy shape, batches of 1 and 4")
    toy = parser.parse_args().toy
    shape = SHAPES["toy" if toy else "real"]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with tempfile.TemporaryDirectory() as folder:
        save_base(Path(folder), shape)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).to(device).eval()
    print(torch.cuda.get_device_name() if device == "cuda" else "CPU")
    print(f"{'at once':>8} {'tokens/s':>10} {'ms a step':>10} {'against one':>12} {'prompts/s':>10} {'peak GiB':>9}")
    one = 0.0
    for batch in (1, 4) if toy else (1, 32, 256):
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        reading = seconds(model, batch, 1, shape["vocab_size"])
        writing = seconds(model, batch, ANSWER, shape["vocab_size"]) - reading
        rate = batch * (ANSWER - 1) / writing
        one = one or rate
        peak = f"{torch.cuda.max_memory_allocated() / 2**30:.2f}" if device == "cuda" else "-"
        step = 1000 * writing / (ANSWER - 1)
        print(f"{batch:>8} {rate:>10.0f} {step:>10.2f} {rate / one:>11.1f}x {batch / reading:>10.0f} {peak:>9}")


if __name__ == "__main__":
    main()
