"""The backend of the embedded base ``nano``: a small Qwen3-architecture model made from nothing, with its tokenizer.

The tokenizer holds every piece of text that the domain repeats (a whole ``key:value; `` pair, an action phrase, a
spoken sentence) as one token, which cuts a prompt to about two dozen tokens and an answer to about fifteen. That is
only right for a model trained from scratch: a pretrained base must never be given new tokens this way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from drivecoach.chat import CONTROL_TOKENS, END, PAD, Chat
from drivecoach.config import BaseConfig, NanoConfig
from drivecoach.train import bases
from drivecoach.train.backend import Job

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

NAME = "nano"
OWN_LOSS = False
PRETRAINED = False

_MERGES = 256
"""Byte-pair merges learned from the training texts, for whatever the pieces do not cover."""
_MARK = "\0"


def load(job: Job, dtype: torch.dtype) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A new model and a tokenizer made for the domain and its pairs; the weights are 32-bit whatever ``dtype`` says.

    A run that goes on from another keeps that one's tokenizer: its weights know no other.
    """
    if job.start is not None:
        base = BaseConfig(source="local", name=str(job.start))
        model = bases.load_model(base, "float32")
        model.config.max_position_embeddings = max(model.config.max_position_embeddings, job.recipe.train.max_length)
        return model, bases.load_tokenizer(base, job.chat)
    texts = (job.chat.prompt(pair.input, pair.history) + job.chat.completion(pair.output) for pair in job.train)
    tokenizer = make_tokenizer(job.vocabulary, texts, job.chat)
    settings = job.recipe.train
    return make_model(job.recipe.base.nano, tokenizer, settings.max_length, settings.seed), tokenizer


def make_tokenizer(pieces: Iterable[str], texts: Iterable[str], chat: Chat) -> PreTrainedTokenizerBase:
    """A byte-level BPE tokenizer in which each of ``pieces`` and each fixed part of the chat is one token.

    Pieces are ordinary added tokens (never control tokens); any other text falls back to bytes, so nothing is unknown.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + _MERGES, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in CONTROL_TOKENS])
    fixed = {piece for piece in (*pieces, *_fixed_parts(chat)) if len(piece) > 1}
    tokenizer.add_tokens([AddedToken(piece, normalized=False) for piece in sorted(fixed)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        clean_up_tokenization_spaces=False,
        chat_template=chat.source,
    )


def make_model(shape: NanoConfig, tokenizer: PreTrainedTokenizerBase, max_length: int, seed: int) -> PreTrainedModel:
    """A Qwen3 model with random weights, embeddings tied, 32-bit; the same seed gives the same weights."""
    from transformers import Qwen3Config, Qwen3ForCausalLM, set_seed

    set_seed(seed)
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=-(-len(tokenizer) // 32) * 32,
            hidden_size=shape.hidden_size,
            intermediate_size=shape.intermediate_size,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads,
            head_dim=shape.head_dim,
            max_position_embeddings=max_length,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def _fixed_parts(chat: Chat) -> list[str]:
    """What stands between the control tokens of every prompt: the system turn, the openings of the other turns."""
    between = re.split("|".join(map(re.escape, CONTROL_TOKENS)), chat.prompt(_MARK))
    return [part.replace(_MARK, "") for part in between]
