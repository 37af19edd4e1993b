"""LoRA on a 42 M Qwen3-shaped model with random weights: our backends against plain TRL with its defaults.

    python benchmarks/train_lora.py

Every run is a process of its own, because Unsloth changes TRL as it is imported. The tokenizer is a byte-level BPE of
this repository's pages: it knows Chinese, and nothing of the pairs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from common import RUNS, figure, finish, in_turns

ROOT = Path(__file__).parents[1]
SHAPE = {"vocab_size": 32_768, "hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 8} | {
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 64,
}
LORA = {"r": 16, "alpha": 16, "dropout": 0}
STEPS, WARM = 8, 3
"""Steps of a run, of which the first are not counted."""


def save_base(folder: Path) -> None:
    """Model and tokenizer as a Hugging Face folder."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from drivecoach.chat import Chat
    from drivecoach.train import nano_backend

    nano_backend._MERGES = 8000
    pages = [path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("**/docs/*.md"))]
    nano_backend.make_tokenizer([], pages, Chat("")).save_pretrained(folder)
    torch.manual_seed(0)
    Qwen3ForCausalLM(Qwen3Config(**SHAPE, tie_word_embeddings=True)).save_pretrained(folder)


def rate(way: str, base: Path) -> float:
    """Samples a second of one short training in this process."""
    from drivecoach.config import load_recipe
    from drivecoach.pipeline import Run
    from drivecoach.train.backend import choose_backend

    with tempfile.TemporaryDirectory() as folder:
        settings = [f"base.name={base}", "base.source=local", f"train.max_steps={STEPS}"]
        settings += [f"train.backend={'peft' if way == 'trl' else way}", "train.batch_size=16"]
        settings += ["train.gradient_accumulation=1", "train.gradient_checkpointing=false"]
        settings += ["train.checkpoint_steps=1000000"]
        recipe = load_recipe(ROOT / "recipes/qwen3-0.6b.yaml", settings)
        run = Run(Path(folder) / "lora", recipe)
        run.prepare()
        backend = choose_backend(recipe)
        if way == "trl":
            return _trl(run.job(), base)
        from dataclasses import replace

        from transformers.trainer import DEFAULT_CALLBACKS

        from drivecoach.train.trainer import fit

        clock = _clock()
        DEFAULT_CALLBACKS.append(clock)
        job = run.job()
        fit(backend, replace(job, train=job.train[: 16 * STEPS], validation=()))
        return clock.rate(16)


def _trl(job: Any, base: Path) -> float:
    """TRL's defaults, and PEFT's adapter on the same matrices."""
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer
    from trl import SFTConfig, SFTTrainer

    from datasets import Dataset

    class OnCpu(SFTTrainer):
        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:  # TRL's fused loss wants a GPU
            return Trainer.compute_loss(self, *args, **kwargs)

    pairs = job.train[: 8 * STEPS]
    clock = _clock()
    OnCpu(
        model=AutoModelForCausalLM.from_pretrained(base),
        args=SFTConfig(
            str(job.folder), max_steps=STEPS, use_cpu=True, report_to="none", save_strategy="no", disable_tqdm=True
        ),
        train_dataset=Dataset.from_list(
            [{"prompt": job.chat.prompt(p.input), "completion": job.chat.completion(p.output)} for p in pairs]
        ),
        processing_class=AutoTokenizer.from_pretrained(base),
        peft_config=LoraConfig(
            r=LORA["r"],
            lora_alpha=LORA["alpha"],
            target_modules=list(job.recipe.train.lora.target_modules),
            task_type="CAUSAL_LM",
        ),
        callbacks=[clock],
    ).train()
    return float(clock.rate(8))


def _clock() -> Any:
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        def __init__(self) -> None:
            self.times: list[float] = []

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.times.append(time.perf_counter())

        def rate(self, batch: int) -> float:
            return batch * (len(self.times) - WARM) / (self.times[-1] - self.times[WARM - 1])

    return Clock()


def main() -> None:
    """All ways in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", nargs=2, metavar=("WAY", "BASE"), help=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--ways", nargs="+", default=["peft", *(["unsloth"] if find_spec("unsloth") else [])])
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(rate(asked.one[0], Path(asked.one[1]))))
        return
    names = ["trl", *asked.ways]
    with tempfile.TemporaryDirectory() as base:
        save_base(Path(base))

        def run(way: str) -> float:
            command = [sys.executable, __file__, "--one", way, base]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            return float(done.stdout.splitlines()[-1])

        rates = in_turns({name: lambda name=name: run(name) for name in names}, asked.runs)
    finish(
        "LoRA on a Qwen3 shape of 42 M",
        [
            figure(
                f"LoRA, backend {name}", rates[name], "samples/s",
                baseline="TRL's SFTTrainer with PEFT, defaults", against=rates["trl"], bar=1.5,
            )
            for name in names[1:]
        ],
        [f"{STEPS} steps a run, the first {WARM} not counted; ours in batches of 16, TRL in its default of 8"],
    )


if __name__ == "__main__":
    main()
