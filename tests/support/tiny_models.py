"""Small models and realistic tokenizers made on the spot: real architectures, random weights, no download."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

Kind = Literal["qwen3", "qwen2", "llama", "gemma3"]
Pre = Literal["gpt2", "smollm", "qwen2", "llama3", "smaug"]

QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3_PATTERN = QWEN2_PATTERN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")

CORPUS = (
    "前方路口有行人，请减速慢行，注意观察左右来车。",
    "The driver should slow down before the crossing and watch for pedestrians.",
    "挂2挡，松离合，轻踩油门，车速保持在20公里每小时。",
    "It's 2026 already; he'd said they'll drive 1,234.5 km, didn't he? I'VE seen 100% of it.",
    "雨天路滑，制动距离变长，与前车保持三秒以上的距离。🚗💨",
    'def brake(speed: float) -> dict:\n    return {"动作": ["松油门", "踩刹车"], "级别": "警告"}\n',
    "  two spaces,   three spaces,\ttabs\t\tand\n\nnew lines\r\n are all   part of the text.  ",
    "Größe, naïve, façade, Ελληνικά, кириллица, עברית, العربية, 日本語のテキスト, 한국어.",
    "离合器要慢抬，起步先挂一挡，打左转向灯，看后视镜，再起步。" * 2,
    "the then there these those this that they them their though through thought three",
)


def byte_level_tokenizer(
    pre: Pre = "gpt2", *, size: int = 700, special: Sequence[str] = CHATML, added: Sequence[str] = ()
) -> Any:
    """A `tokenizers.Tokenizer`: byte-level BPE trained on CORPUS, ``special`` first, ``added`` last.

    ``llama3`` puts its first special token in front of each text and ignores merges for whole words, as Llama 3
    does, ``smaug`` does neither; ``qwen2`` normalises to NFC, as Qwen does.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, processors, trainers
    from tokenizers import pre_tokenizers as pres

    tokenizer = Tokenizer(models.BPE(ignore_merges=pre == "llama3"))
    byte_level = pres.ByteLevel(add_prefix_space=False, use_regex=pre in ("gpt2", "smollm"))
    steps: dict[Pre, list[Any]] = {
        "gpt2": [],
        "smollm": [pres.Digits(individual_digits=True)],
        "qwen2": [pres.Split(Regex(QWEN2_PATTERN), "isolated")],
        "llama3": [pres.Split(Regex(LLAMA3_PATTERN), "isolated")],
        "smaug": [pres.Split(Regex(LLAMA3_PATTERN), "isolated")],
    }
    tokenizer.pre_tokenizer = pres.Sequence([*steps[pre], byte_level]) if steps[pre] else byte_level
    tokenizer.decoder = decoders.ByteLevel()
    if pre == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(special),
        initial_alphabet=pres.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in added])
    if pre == "llama3":
        first = special[0]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{first} $A", special_tokens=[(first, tokenizer.token_to_id(first))]
        )
    return tokenizer


def gemma_tokenizer(*, size: int = 900, prefix: bool = False) -> Any:
    """A `tokenizers.Tokenizer` in the form of Gemma's: SentencePiece-style BPE with byte fallback and a bos.

    Its merges hold every way to cut a piece in two, ordered by piece, as a converted SentencePiece model has.
    With ``prefix`` it puts a space in front of each text, as Llama 2's does.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors, trainers
    from tokenizers import pre_tokenizers as pres

    draft = Tokenizer(models.BPE())
    draft.normalizer = normalizers.Replace(" ", "▁")
    draft.pre_tokenizer = pres.Metaspace(prepend_scheme="never", split=True)
    draft.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=size - 270, show_progress=False))
    learned = sorted(draft.get_vocab().items(), key=lambda entry: entry[1])
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>", "\n\n", "\t\t"]
    pieces += [f"<0x{byte:02X}>" for byte in range(256)]
    pieces += [piece for piece, _ in learned if piece not in pieces]
    vocab = {piece: row for row, piece in enumerate(pieces)}
    plain = set(pieces[8 + 256 :])
    merges = [
        (piece[:cut], piece[cut:])
        for piece in pieces[8 + 256 :]
        for cut in range(1, len(piece))
        if piece[:cut] in plain and piece[cut:] in plain
    ]
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    if prefix:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), tokenizer.normalizer])
    else:
        tokenizer.pre_tokenizer = pres.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(piece, normalized=False) for piece in pieces[:6]])
    tokenizer.add_tokens([AddedToken(piece, normalized=False) for piece in pieces[6:8]])
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    return tokenizer


def save_tokenizer(tokenizer: Any, folder: Path, **roles: str) -> Any:
    """Save as `transformers` does; returns what `AutoTokenizer` reads. Roles are such as ``eos_token``."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def save_model(kind: Kind, folder: Path, *, rows: int, seed: int = 0, **settings: Any) -> Any:
    """Save a random model of a real architecture in float32 and return it, in evaluation mode.

    ``rows`` is the size of the embedding; ``settings`` overrides the config. Matrices hold f16 values, spread
    widely enough that greedy answers seldom hang on rounding.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    config = CONFIG_MAPPING["gemma3_text" if kind == "gemma3" else kind](
        **{
            "vocab_size": rows,
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 7 if kind == "gemma3" else 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
            "tie_word_embeddings": kind != "llama",
            **({} if kind == "qwen2" else {"head_dim": 32}),
            **({"query_pre_attn_scalar": 32, "sliding_window": 16} if kind == "gemma3" else {}),
            **settings,
        }
    )
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                # Gemma multiplies its embedding by the root of its width.
                scale = 1.5 if "embed" not in name else 1.0 if kind == "gemma3" else 4.0
                weight.normal_(0, scale * weight.shape[1] ** -0.5)
                weight.copy_(weight.half())
            elif name.endswith("bias"):
                weight.normal_(0, 0.3)
            else:
                weight.add_(torch.rand_like(weight) - 0.5)
    model.generation_config.eos_token_id = None
    model.save_pretrained(folder)
    return model
