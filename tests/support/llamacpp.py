"""The real llama.cpp in this process, asked over loopback: token ids and greedy answers of a GGUF."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

_KEY = "only-for-this-test"


@contextmanager
def llamacpp(path: Path, *, context: int = 512) -> Iterator[httpx.Client]:
    """A client of a server that holds the model; its cache is kept in 32 bits, to compare numbers."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx, params.n_parallel = context, 1
    params.api_keys = [_KEY]
    params.warmup, params.verbosity = False, -1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1  # two would wait for each other on a busy machine
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    server = xllamacpp.Server(params)
    headers = {"Authorization": f"Bearer {_KEY}"}
    with httpx.Client(base_url=server.listening_address, headers=headers, timeout=60) as client:
        yield client
    del server


def token_ids(client: httpx.Client, text: str, *, special: bool = True) -> list[int]:
    """``text`` as llama.cpp cuts it, with bos as the file says; ``special``: control tokens are read."""
    body = {"content": text, "add_special": True, "parse_special": special}
    answer = client.post("/tokenize", json=body).raise_for_status().json()
    return list(answer["tokens"])


def greedy(client: httpx.Client, prompt: list[int], count: int) -> list[int]:
    """The ``count`` most likely tokens after ``prompt``."""
    body = {
        "prompt": prompt,
        "n_predict": count,
        "temperature": 0,
        "ignore_eos": True,
        "return_tokens": True,
        "cache_prompt": False,
    }
    answer = client.post("/completion", json=body).raise_for_status().json()
    return list(answer["tokens"])
