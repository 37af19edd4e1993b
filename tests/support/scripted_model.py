"""A tiny GGUF that always gives one known answer: a real Qwen3 for every runtime, but each token names the next."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from drivecoach.chat import END, Chat
from drivecoach.domain import AnyDomain
from drivecoach.domains import stored
from drivecoach.domains.driving import DRIVING
from drivecoach.gguf.writer import write_gguf
from drivecoach.train.nano_backend import make_tokenizer


def write_scripted_gguf(
    target: Path,
    answer: str,
    *,
    chat: Chat,
    domain: AnyDomain = DRIVING,
    num_predict: int = 64,
    num_ctx: int = 256,
    pieces: tuple[str, ...] = (),
) -> Path:
    """Write ``target``; no token may occur twice in ``answer``, since its successor is all the model knows.

    ``pieces`` are texts that are one token each, beside the domain's.
    """
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = make_tokenizer((*domain.vocabulary(), *pieces), ["挡位 speed 123"], chat)
    last = tokenizer.encode(chat.prompt("x"), add_special_tokens=False)[-1]
    chain = [last, *tokenizer.encode(answer + END, add_special_tokens=False)]
    if len(set(chain)) < len(chain):
        raise ValueError("a token occurs twice")
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=32,
            max_position_embeddings=num_ctx,
            tie_word_embeddings=False,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.zero_()  # the layer adds nothing: what goes in comes out
        for place, (token, following) in enumerate(pairwise(chain)):
            model.model.embed_tokens.weight[token, place] = 1
            model.lm_head.weight[following, place] = 4
    folder = target.with_suffix("")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_gguf(
        folder,
        target,
        metadata={
            **stored.metadata(domain),
            **chat.metadata(),
            "drivecoach.temperature": 0.0,
            "drivecoach.num_ctx": num_ctx,
            "drivecoach.num_predict": num_predict,
        },
        chat_template=chat.source,
    )
    return target
