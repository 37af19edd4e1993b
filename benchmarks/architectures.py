"""Does llama.cpp read our GGUF files as transformers reads the model? Token ids and greedy answers, per architecture.

    python benchmarks/architectures.py            # 1,000 texts and 100 answers of a small random model of each

The texts mix Chinese, English, emoji, code, odd spaces and what looks like control tokens.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import unicodedata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from drivecoach.gguf.writer import write_gguf
from tests.support.llamacpp import greedy, llamacpp, token_ids
from tests.support.texts import odd_texts
from tests.support.tiny_models import byte_level_tokenizer, gemma_tokenizer, save_model, save_tokenizer

KINDS = {
    "Qwen3ForCausalLM": ("qwen3", "qwen2"),
    "Qwen2ForCausalLM": ("qwen2", "qwen2"),
    "LlamaForCausalLM": ("llama", "llama3"),
    "Gemma3ForCausalLM": ("gemma3", None),
}
BYTES = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
PIECES = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}


def main() -> None:
    """Print one line an architecture."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--answers", type=int, default=100)
    options = parser.parse_args()
    print(f"{'architecture':20} {'tokenizer':26} {'same token ids':>16} {'same greedy answers':>20} {'ties':>5}")
    for name, (kind, pre) in KINDS.items():
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            raw = byte_level_tokenizer(pre) if pre else gemma_tokenizer()
            roles = (BYTES | ({"bos_token": "<|endoftext|>"} if pre == "llama3" else {})) if pre else PIECES
            tokenizer = save_tokenizer(raw, folder, **roles)
            model = save_model(kind, folder, rows=raw.get_vocab_size() + 13)
            write_gguf(folder, folder / "model.gguf", metadata={"general.name": name})
            # Qwen's tokenizers bring texts to NFC first; llama.cpp leaves that to who calls it.
            nfc = tokenizer.backend_tokenizer.normalizer is not None and bool(pre)
            texts = [unicodedata.normalize("NFC", text) if nfc else text for text in odd_texts(options.texts)]
            expected = tokenizer(texts)["input_ids"]
            same = ties = alike = 0
            with llamacpp(folder / "model.gguf") as client:
                same = sum(token_ids(client, text) == ids for text, ids in zip(texts, expected, strict=True))
                asked = [ids[:200] for ids in expected if ids][: options.answers]
                for prompt in asked:
                    answer = greedy(client, prompt, 16)
                    with torch.no_grad():
                        logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
                    logits[:, tokenizer.eos_token_id] = -torch.inf  # `greedy` bars it too
                    loss = logits.max(dim=-1).values - logits[range(len(answer)), answer]
                    exact = logits.argmax(dim=-1).tolist() == answer
                    alike += exact
                    ties += not exact and bool(loss.max() < 0.02 * logits[logits.isfinite()].std())
        kinds = f"byte-level BPE ({pre})" if pre else "SentencePiece-style BPE"
        print(f"{name:20} {kinds:26} {same:>7} of {len(texts)} {alike:>12} of {len(asked)} {ties:>5}", flush=True)


if __name__ == "__main__":
    main()
