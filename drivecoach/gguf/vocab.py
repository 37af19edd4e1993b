"""A Hugging Face tokenizer as llama.cpp's vocabulary: pieces, kinds, merges and the pre-tokenizer's name.

Only what llama.cpp is known to cut exactly as ``tokenizers`` does is accepted; anything else is a ModelError,
since a model that reads other token ids than it was trained on answers badly without any error.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivecoach.errors import Fault, ModelError

# Kinds of pieces: llama.cpp's ``enum llama_token_type``.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6

_ROLES = ("bos", "eos", "unk", "sep", "pad", "mask")
_LETTERS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_QWEN2 = _LETTERS + r"\p{N}" + _REST
_LLAMA3 = _LETTERS + r"\p{N}{1,3}" + _REST
_GPT2 = "ByteLevel's own"

# (patterns of the pre-tokenizer, ignore_merges) -> ``tokenizer.ggml.pre``.
PRE_TOKENIZERS = {
    ((_GPT2,), False): "gpt-2",
    (("Digits", _GPT2), False): "smollm",
    ((_QWEN2,), False): "qwen2",
    ((_LLAMA3,), True): "llama-bpe",
    ((_LLAMA3,), False): "smaug-bpe",
}
_KNOWN = (
    "byte-level BPE with the pre-tokenizers of GPT-2, SmolLM, Qwen2/Qwen3 or Llama 3; "
    "SentencePiece-style BPE with byte fallback as Gemma has it (or with a 'Prepend ▁' normalizer)"
)


@dataclass(frozen=True)
class Vocabulary:
    """``tokenizer.ggml.*`` of a GGUF: one text, kind and score for each row of the embedding."""

    model: str
    pre: str
    tokens: list[str]
    kinds: list[int]
    scores: list[float] | None
    merges: list[str] | None
    ids: dict[str, int]
    """Role (bos, eos, unk, sep, pad, mask, ...) -> token id."""
    flags: dict[str, bool]
    """``add_bos_token``, ``add_eos_token`` and, for SentencePiece, ``add_space_prefix``."""


def read_vocabulary(model_dir: Path, rows: int) -> Vocabulary:
    """Read ``tokenizer.json`` (with ``tokenizer_config.json`` and ``config.json``) of a model folder.

    ``rows`` is the number of rows of the embedding; ids that the tokenizer does not use become ``[PADn]``,
    unused. Raises ModelError for a missing or damaged file and for a tokenizer that llama.cpp reads
    differently.
    """
    from tokenizers import Tokenizer

    path = model_dir / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # tokenizers raises nothing more special
        raise ModelError(
            f"cannot read {path}: {error}",
            hint="save the tokenizer beside the model with tokenizer.save_pretrained (it must be a fast one)",
        ) from error
    spec = json.loads(tokenizer.to_str())
    model, added = spec["model"], spec["added_tokens"]
    if model.get("type") != "BPE" or model.get("dropout"):
        raise _unknown(path, f"the tokenizer model {model.get('type')}")
    sentencepiece = bool(model.get("byte_fallback"))
    if sentencepiece:
        flags = {"add_space_prefix": _space_prefix(path, spec)}
        pre = "default"
    else:
        flags = {}
        pre = _pre_tokenizer(path, spec)
    _check_added(path, added)
    pieces = model["vocab"]
    texts = dict(pieces) | {token["content"]: token["id"] for token in added}
    highest = max(texts.values(), default=-1)
    if highest >= rows:
        raise ModelError(
            f"the tokenizer has ids up to {highest}, the model's embedding only {rows} rows",
            hint="use the tokenizer that belongs to the model, or resize the embedding before training",
        )
    tokens, kinds = [f"[PAD{row}]" for row in range(rows)], [UNUSED] * rows
    for piece, row in pieces.items():
        tokens[row], kinds[row] = piece, NORMAL
        if sentencepiece and re.fullmatch(r"<0x[0-9A-F]{2}>", piece):
            kinds[row] = BYTE
    for token in added:
        plain = sentencepiece and not token["special"]  # llama.cpp looks for these before it turns spaces to ▁
        tokens[token["id"]] = token["content"].replace("▁", " ") if plain else token["content"]
        kinds[token["id"]] = CONTROL if token["special"] else USER_DEFINED
    if sentencepiece and model.get("unk_token") in texts:
        kinds[texts[model["unk_token"]]] = UNKNOWN
    merges = [(left, right) for left, right in model["merges"]]
    ids, adds = _special_ids(model_dir, texts, rows, tokenizer.encode("").ids)
    return Vocabulary(
        model="llama" if sentencepiece else "gpt2",
        pre=pre,
        tokens=tokens,
        kinds=kinds,
        scores=_scores(path, pieces, merges, kinds) if sentencepiece else None,
        merges=None if sentencepiece else [" ".join(merge) for merge in merges],
        ids=ids,
        flags=flags | adds,
    )


def _pre_tokenizer(path: Path, spec: dict[str, Any]) -> str:
    """``tokenizer.ggml.pre`` of a byte-level BPE."""
    # NFC (Qwen's) is let through: llama.cpp does not normalise, whoever sends text to it should.
    if _types(spec.get("normalizer")) not in ([], ["NFC"]):
        raise _unknown(path, f"the normalizer {_types(spec['normalizer'])}")
    patterns: list[str] = []
    steps = _steps(spec.get("pre_tokenizer"))
    for step in steps:
        kind = step.get("type")
        if kind == "Split" and step.get("behavior") == "Isolated" and not step.get("invert"):
            patterns.append(step["pattern"].get("Regex", str(step["pattern"])))
        elif kind == "Digits" and step.get("individual_digits"):
            patterns.append("Digits")
        elif kind == "ByteLevel" and not step.get("add_prefix_space"):
            patterns += [_GPT2] if step.get("use_regex", True) else []
        else:
            raise _unknown(path, f"the pre-tokenizer step {json.dumps(step)[:200]}")
    found = PRE_TOKENIZERS.get((tuple(patterns), bool(spec["model"].get("ignore_merges"))))
    if found is None or not steps or steps[-1].get("type") != "ByteLevel":
        raise _unknown(path, f"the pre-tokenizer {patterns}")
    return found


def _space_prefix(path: Path, spec: dict[str, Any]) -> bool:
    """Whether a SentencePiece-style tokenizer puts a space before each text (Llama 2) or not (Gemma)."""
    normalizer, pre = _types(spec.get("normalizer")), _steps(spec.get("pre_tokenizer"))
    no_split = not pre or (len(pre) == 1 and pre[0].get("pattern") == {"String": " "})
    metaspace = len(pre) == 1 and pre[0].get("type") == "Metaspace" and not pre[0].get("split", True)
    if normalizer in (["Replace"], ["Prepend", "Replace"]) and no_split:
        return normalizer[0] == "Prepend"
    if not normalizer and metaspace and pre[0].get("prepend_scheme") == "never":
        return False
    raise _unknown(path, f"the normalizer {normalizer} with the pre-tokenizer {_types(spec.get('pre_tokenizer'))}")


def _scores(path: Path, pieces: dict[str, int], merges: list[tuple[str, str]], kinds: list[int]) -> list[float]:
    """SentencePiece scores that make llama.cpp merge in the order of ``merges``.

    llama.cpp joins two neighbours whenever their join is a piece, best score first. That is the same as
    merging by rank only if every way to cut a piece in two is in the list, as it is in converted
    SentencePiece models.
    """
    scores = [-1000.0] * len(kinds)
    for rank, pair in reversed(list(enumerate(merges))):
        scores[pieces["".join(pair)]] = float(-rank)
    known = set(merges)
    plain = {piece for piece, row in pieces.items() if kinds[row] == NORMAL}
    missing = [
        (piece[:cut], piece[cut:])
        for piece in plain
        for cut in range(1, len(piece))
        if piece[:cut] in plain and piece[cut:] in plain and (piece[:cut], piece[cut:]) not in known
    ]
    if missing:
        raise ModelError(
            f"{path} has byte fallback, but its merges are not those of a SentencePiece model: "
            f"{len(missing)} are missing, such as {missing[0]}",
            hint="llama.cpp can read: " + _KNOWN,
        )
    return scores


def _check_added(path: Path, added: list[dict[str, Any]]) -> None:
    """Added tokens that llama.cpp cannot match as ``tokenizers`` does.

    One difference is let through: where two added tokens overlap in a text (the end of one begins the
    other), ``tokenizers`` takes the one further left, llama.cpp the longer one.
    """
    faults = [
        Fault(f"added token {token['content']!r}", key, f"{key} false: llama.cpp matches the text alone")
        for token in added
        for key in ("lstrip", "rstrip", "single_word")
        if token.get(key)
    ]
    if faults:
        raise ModelError(
            f"llama.cpp would find other added tokens than the tokenizer in {path}",
            hint="add these tokens without the settings named here and train again",
            faults=faults,
        )


def _special_ids(
    model_dir: Path, texts: dict[str, int], rows: int, around: list[int]
) -> tuple[dict[str, int], dict[str, bool]]:
    """Ids of bos, eos, ... (by the tokenizer, else by the model), and which stand ``around`` each text."""
    ids: dict[str, int] = {}
    for role in _ROLES:
        named = _read_json(model_dir / "tokenizer_config.json").get(f"{role}_token")
        named = named.get("content") if isinstance(named, dict) else named
        row = texts.get(named) if named else _read_json(model_dir / "config.json").get(f"{role}_token_id")
        row = row[0] if isinstance(row, list) and row else row
        if isinstance(row, int) and 0 <= row < rows:
            ids[role] = row
    adds = {
        "add_bos_token": bool(around) and around[0] == ids.get("bos"),
        "add_eos_token": bool(around) and around[-1] == ids.get("eos"),
    }
    return ids, adds


def _read_json(path: Path) -> dict[str, Any]:
    """A JSON object, empty when the file is not there."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"cannot read {path}: {error}", hint="save or download the tokenizer again") from error


def _steps(step: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The steps of a normalizer or pre-tokenizer, a sequence or a single one."""
    if step is None:
        return []
    if step.get("type") == "Sequence":
        return list(step.get("normalizers") or step.get("pretokenizers") or [])
    return [step]


def _types(step: dict[str, Any] | None) -> list[str]:
    return [str(part.get("type")) for part in _steps(step)]


def _unknown(path: Path, what: str) -> ModelError:
    return ModelError(f"{path}: llama.cpp does not know {what}", hint="it can read: " + _KNOWN)
