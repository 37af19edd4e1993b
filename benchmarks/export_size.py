"""Merging an adapter, the f16 GGUF and q4_K_M of a model of 0.6 billion parameters: seconds and peak memory.

    python benchmarks/export_size.py [--layers 28] [--keep]

The model has Qwen3-0.6B's shape (and as many tokens), random weights in bf16 and a random adapter of rank 16 on every
matrix. The baseline is what no export can do without: copying the bytes of the two 16-bit files (the merged model, the
f16 GGUF), and ggml's own function called on the same tensors with the same types, in as many threads, its 32-bit input
made from the f16 file; what it returns is thrown away. Each export is a process of its own. Its imports (torch,
transformers, PEFT) are loaded before the clock starts; they count in its memory. The proof that files and merged model
answer alike is no part of this.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, product
from pathlib import Path

import numpy as np
from common import figure, finish, in_turns, seconds

from drivecoach.gguf.quantize import _ggml, _runs
from drivecoach.gguf.quantize_types import choose_types
from drivecoach.gguf.reader import read_header
from drivecoach.gguf.types import TYPES

LAYERS, ROWS = 28, 151_936
TIMES = 1.5
"""The bar: so many times the baseline's seconds, and the bytes of a 16-bit file."""

MAKE = r"""
import sys
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, Qwen3Config
folder, layers, rows = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.manual_seed(0)
config = Qwen3Config(
    vocab_size=rows, hidden_size=1024, num_hidden_layers=layers, num_attention_heads=16, num_key_value_heads=8,
    head_dim=128, intermediate_size=3072, max_position_embeddings=40960, tie_word_embeddings=True,
    eos_token_id=0, dtype=torch.bfloat16,
)
model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
model.save_pretrained(folder)
model.config._name_or_path = model.name_or_path = folder
names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
adapted = get_peft_model(model, LoraConfig(r=16, lora_alpha=16, target_modules=names, init_lora_weights=False))
adapted.save_pretrained(sys.argv[4])
"""

EXPORT = r"""
import json, re, sys, time
from pathlib import Path
import peft, torch, transformers
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
from drivecoach.config import BaseConfig
from drivecoach.export.merge import merge
from drivecoach.gguf.quantize import quantize
from drivecoach.gguf.writer import write_gguf
base, adapter, out = map(Path, sys.argv[1:])
def peak():
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
found = {"imports": peak()}
def step(name, work):
    start = time.perf_counter()
    work()
    found[name] = time.perf_counter() - start
    found[name + " MiB"] = peak()
step("merge", lambda: merge(BaseConfig(source="local", name=str(base)), adapter, out / "merged"))
step("f16", lambda: write_gguf(out / "merged", out / "f16.gguf"))
step("q4_K_M", lambda: quantize(out / "f16.gguf", out / "q4.gguf", "q4_K_M"))
print(json.dumps(found))
"""


def tokenizer(folder: Path) -> None:
    """A byte-level BPE with as many pieces as Qwen3 has: all of one and two bytes, and some of three."""
    from tokenizers import Regex, Tokenizer, decoders, models
    from tokenizers import pre_tokenizers as pres
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pres.ByteLevel.alphabet())
    pairs = [(left, right) for left, right in product(letters, letters)]
    triples = ((left + middle, right) for (left, middle), right in product(pairs, letters))
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    merges = [*pairs, *islice(triples, ROWS - 300 - len(pairs) - len(letters))]
    pieces = [*special, *letters, *map("".join, merges)]
    made = Tokenizer(models.BPE({piece: number for number, piece in enumerate(pieces)}, merges))
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    split = pres.Split(Regex(pattern), "isolated")
    made.pre_tokenizer = pres.Sequence([split, pres.ByteLevel(add_prefix_space=False, use_regex=False)])
    made.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|im_end|>", pad_token="<|endoftext|>")  # noqa: S106
    fast.save_pretrained(folder)


def export(base: Path, adapter: Path, out: Path) -> dict[str, float]:
    """One export in a process of its own: seconds of each step, and the peak memory (MiB) after it."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    command = [sys.executable, "-c", EXPORT, str(base), str(adapter), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def copy_bytes(out: Path) -> None:
    """What is written in 16 bits, written again."""
    for number, file in enumerate((out / "merged" / "model.safetensors", out / "f16.gguf")):
        target = out / f"copy{number}"
        shutil.copyfile(file, target)
        target.unlink()


def quantize_only(source: Path) -> None:
    """ggml's function over every tensor that is quantized."""
    ggml, header = _ggml(), read_header(source)
    metadata = {key: field.value for key, field in header.fields.items()}
    types = choose_types(metadata, header.tensors, "q4_K_M")
    data = np.memmap(source, mode="r")

    def parts() -> Iterator[tuple[int, np.ndarray]]:
        for tensor in header.tensors:
            if types[tensor.name] == tensor.type:
                continue
            rows = data[tensor.offset : tensor.offset + tensor.nbytes].view("<f2").reshape(-1, tensor.shape[0])
            for first, count in _runs(tensor):
                yield TYPES[types[tensor.name]].code, rows[first : first + count]

    def one(part: tuple[int, np.ndarray]) -> None:
        code, rows = part
        values = rows.astype(np.float32)
        made = np.empty(len(values) * ggml.ggml_row_size(code, values.shape[1]), dtype=np.uint8)
        ggml.ggml_quantize_chunk(code, values.ctypes.data, made.ctypes.data, 0, len(values), values.shape[1], None)

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for _ in pool.map(one, parts()):
            pass


def main() -> None:
    """Make the model once, then export it and do the baseline in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=LAYERS)
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        base, adapter, out = (Path(name) / part for part in ("base", "adapter", "out"))
        command = [sys.executable, "-c", MAKE, str(base), str(asked.layers), str(ROWS), str(adapter)]
        subprocess.run(command, check=True, capture_output=True)
        tokenizer(base)
        tokenizer(adapter)
        done: list[dict[str, float]] = []
        copied: list[float] = []
        quantized: list[float] = []

        def ours() -> float:
            done.append(export(base, adapter, out))
            return sum(done[-1][step] for step in ("merge", "f16", "q4_K_M"))

        def floor() -> float:
            copied.append(seconds(lambda: copy_bytes(out)))
            quantized.append(seconds(lambda: quantize_only(out / "f16.gguf")))
            return copied[-1] + quantized[-1]

        found = in_turns({"ours": ours, "floor": floor}, asked.runs)
        whole = (out / "f16.gguf").stat().st_size / 2**20
    baseline = "copied bytes + ggml"
    peaks = [one["q4_K_M MiB"] for one in done]
    longer = [mine / theirs for mine, theirs in zip(found["ours"], found["floor"], strict=True)]
    figures = [
        figure("merge, f16 and q4_K_M of 0.6B", found["ours"], "s", baseline=baseline, against=found["floor"]),
        figure("the same, times the baseline", longer, "×", bar=TIMES, bar_is="at most", bar_on="value"),
        *(figure(f"of that: {step}", [one[step] for one in done], "s") for step in ("merge", "f16", "q4_K_M")),
        figure("of the baseline: copying", copied, "s"),
        figure("of the baseline: ggml", quantized, "s"),
        figure("peak memory", peaks, "MiB", baseline="a 16-bit file", against=[whole], bar=TIMES, bar_is="at most"),
        figure("of that: imports", [one["imports"] for one in done], "MiB"),
    ]
    finish("Export: a model of 0.6B, with an adapter", figures)


if __name__ == "__main__":
    main()
