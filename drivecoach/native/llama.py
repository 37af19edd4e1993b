"""The C interface of llama.cpp that batched decoding needs, its struct layouts checked before they are relied on.

Source: llama.cpp's include/llama.h. Parameters go through structs by value. Here they are opaque blocks that the
library fills with its defaults; the few fields that are changed lie at offsets that are compared, at start, with the
defaults known for them, and once more with what the library says of the context that it made of them.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable, Sequence
from ctypes import POINTER, c_bool, c_char_p, c_double, c_float, c_int, c_int8, c_int32, c_uint32, c_void_p
from functools import cache, lru_cache
from math import exp, isclose, log
from pathlib import Path
from typing import Any

from drivecoach.errors import ModelError
from drivecoach.native.library import shared_library, wheel_version

_TRIED = "2026.10."
"""The wheels whose layouts are those below."""
_HINT = "install the version that constraints.txt names: pip install -c constraints.txt xllamacpp"
SMALL = 64 << 20
"""Bytes of a model's file up to which each core decodes best by itself."""
_SIZE = 1024
"""More than either struct needs: what is passed beyond its end is never read."""


_KEPT = 4096
"""Tokens, and texts, that are remembered."""


class NotKnown(ModelError):
    """The library is not the one whose layouts are known; xllamacpp's own interface may still work."""


class _Block(ctypes.Structure):
    _fields_ = (("raw", ctypes.c_uint8 * _SIZE),)


class _Batch(ctypes.Structure):
    """``struct llama_batch``."""

    _fields_ = (
        ("n_tokens", c_int32),
        ("token", POINTER(c_int32)),
        ("embd", c_void_p),
        ("pos", POINTER(c_int32)),
        ("n_seq_id", POINTER(c_int32)),
        ("seq_id", POINTER(POINTER(c_int32))),
        ("logits", POINTER(c_int8)),
    )


# ``struct llama_context_params``: field, offset, format, the library's default.
_FIELDS = {
    "n_ctx": (0, "I", 512),
    "n_batch": (4, "I", 2048),
    "n_ubatch": (8, "I", 512),
    "n_seq_max": (12, "I", 1),
    "n_outputs_max": (20, "I", 0),
    "n_outputs_max_per_seq": (24, "I", 1),
    "n_threads": (28, "i", 4),
    "n_threads_batch": (32, "i", 4),
    "type_k": (104, "i", 1),
    "type_v": (108, "i", 1),
    "embeddings": (136, "?", False),
    "offload_kqv": (137, "?", True),
    "op_offload": (139, "?", True),
    "swa_full": (140, "?", True),
    "kv_unified": (141, "?", False),
}
_LOG = ctypes.CFUNCTYPE(None, c_int, c_char_p, c_void_p)
_QUIET = _LOG(lambda *_: None)
"""Kept here, so that the library never calls a function that is gone."""


@cache
def functions() -> ctypes.CDLL:
    """The library with the types of its functions set. Raises NotKnown for one that may be laid out otherwise."""
    library, found = shared_library(), wheel_version()
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "llama_log_set": (None, [_LOG, c_void_p]),
        "llama_backend_init": (None, []),
        "llama_model_default_params": (_Block, []),
        "llama_context_default_params": (_Block, []),
        "llama_model_load_from_file": (c_void_p, [c_char_p, _Block]),
        "llama_model_free": (None, [c_void_p]),
        "llama_init_from_model": (c_void_p, [c_void_p, _Block]),
        "llama_free": (None, [c_void_p]),
        **{f"llama_n_{name}": (c_uint32, [c_void_p]) for name in ("ctx", "batch", "ubatch", "seq_max", "ctx_seq")},
        "llama_n_threads": (c_int32, [c_void_p]),
        "llama_n_threads_batch": (c_int32, [c_void_p]),
        "llama_model_get_vocab": (c_void_p, [c_void_p]),
        "llama_vocab_n_tokens": (c_int32, [c_void_p]),
        "llama_vocab_is_eog": (c_bool, [c_void_p, c_int32]),
        "llama_tokenize": (c_int32, [c_void_p, c_char_p, c_int32, POINTER(c_int32), c_int32, c_bool, c_bool]),
        "llama_token_to_piece": (c_int32, [c_void_p, c_int32, ctypes.c_char_p, c_int32, c_int32, c_bool]),
        "llama_get_memory": (c_void_p, [c_void_p]),
        "llama_memory_clear": (None, [c_void_p, c_bool]),
        "llama_memory_seq_rm": (c_bool, [c_void_p, c_int32, c_int32, c_int32]),
        "llama_decode": (c_int32, [c_void_p, _Batch]),
        "llama_get_logits": (POINTER(c_float), [c_void_p]),
    }
    try:
        for name, (result, arguments) in signatures.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except AttributeError as error:
        raise NotKnown(f"xllamacpp {found} lacks a function of llama.cpp: {error}", hint=_HINT) from error
    defaults = bytes(library.llama_context_default_params().raw)
    wrong = [
        name for name, (at, kind, value) in _FIELDS.items() if struct.unpack_from(f"<{kind}", defaults, at)[0] != value
    ]
    if wrong or not found.startswith(_TRIED):
        reason = f"its defaults differ in {', '.join(wrong)}" if wrong else f"only {_TRIED}* was tried"
        raise NotKnown(f"xllamacpp {found} may lay out its parameters otherwise: {reason}", hint=_HINT)
    library.llama_log_set(_QUIET, None)
    library.llama_backend_init()
    return library


@cache
def choosing() -> ctypes.PyDLL:
    """Two functions that look at the logits of one token.

    They take some microseconds, so that the interpreter is not handed to another thread meanwhile. The second is
    ggml's own (``ggml/src/ggml-cpu/vec.h``) and no part of its interface: it is tried. Raises NotKnown.
    """
    library = ctypes.PyDLL(None, handle=functions()._handle)
    try:
        library.llama_sampler_init_greedy.restype = c_void_p
        library.llama_sampler_free.argtypes = [c_void_p]
        library.llama_sampler_sample.argtypes = [c_void_p, c_void_p, c_int32]
        library.ggml_vec_soft_max_f32.restype = c_double
        library.ggml_vec_soft_max_f32.argtypes = [c_int, c_void_p, c_void_p, c_float]
    except AttributeError as error:
        raise NotKnown(f"xllamacpp {wheel_version()} lacks a function of llama.cpp: {error}", hint=_HINT) from error
    logits, room = (c_float * 3)(1.0, 3.0, 2.0), (c_float * 3)()
    found = library.ggml_vec_soft_max_f32(3, room, logits, 3.0)
    if not isclose(found, exp(-2) + 1 + exp(-1), rel_tol=1e-5):
        raise NotKnown(f"xllamacpp {wheel_version()} sums up probabilities in another way", hint=_HINT)
    return library


def cores_here() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def decoders(path: Path) -> tuple[int, int]:
    """How many contexts decode a model side by side, and with how many threads each."""
    cores = cores_here()
    return (cores, 1) if path.stat().st_size <= SMALL else (1, cores)


class Context:
    """A model and one context of it for batches of up to ``tokens`` tokens of ``sequences`` sequences.

    ``cells``: how many tokens the context holds. ``logits``: bytes of logits of one batch at most.
    Not safe to use from several threads at once. Raises ModelError for a file that llama.cpp cannot load.
    """

    def __init__(self, path: Path, *, cells: int, tokens: int, sequences: int, logits: int, threads: int) -> None:
        self._library = functions()
        self._model = self._library.llama_model_load_from_file(
            str(path).encode(), self._library.llama_model_default_params()
        )
        if not self._model:
            raise ModelError(f"llama.cpp cannot load {path}", hint="export it again: drivecoach export RUN")
        self._vocabulary = self._library.llama_model_get_vocab(self._model)
        self.vocabulary_size: int = self._library.llama_vocab_n_tokens(self._vocabulary)
        self.tokens, self.sequences = tokens, sequences
        self.outputs = max(sequences, min(tokens, logits // (4 * self.vocabulary_size)))
        block = self._library.llama_context_default_params()
        wanted = {
            "n_ctx": -(-cells // 256) * 256,
            "n_batch": tokens,
            "n_ubatch": min(tokens, 512),
            "n_seq_max": sequences,
            "n_outputs_max": self.outputs,
            "n_outputs_max_per_seq": self.outputs,
            "n_threads": threads,
            "n_threads_batch": threads,
            "kv_unified": True,
        }
        for name, value in wanted.items():
            at, kind, _ = _FIELDS[name]
            struct.pack_into(f"<{kind}", block.raw, at, value)
        self._context = self._library.llama_init_from_model(self._model, block)
        if not self._context:
            raise ModelError(f"llama.cpp has no memory for {cells} tokens of {path}", hint="ask for less at once")
        self._check(wanted)
        self._memory = self._library.llama_get_memory(self._context)
        self._choosing = choosing()
        self._greedy = self._choosing.llama_sampler_init_greedy()
        self._room = (c_float * self.vocabulary_size)()
        self.wanted = 0
        """Of how many tokens of the batch it is asked what follows."""
        self.logits: Any = None
        """A pointer to the logits of what follows them, a row of 32-bit floats each; they may be written to."""
        self._token, self._position, self._count = ((c_int32 * tokens)() for _ in range(3))
        self._asked = (c_int8 * tokens)()
        self._members = (c_int32 * (tokens * sequences))()
        """Of each token of the batch the sequences that it belongs to."""
        start, size = ctypes.addressof(self._members), 4 * sequences
        members = (c_void_p * tokens)(*range(start, start + tokens * size, size))
        # Answers repeat, and so do their tokens; a call of the library costs more than a look.
        self.ends = lru_cache(_KEPT)(self._ends)
        self.piece = lru_cache(_KEPT)(self._piece)
        self.tokenize_again = lru_cache(_KEPT)(self.tokenize)
        """As `tokenize`, for texts that come again and again; the list is not to be changed."""
        self._batch = _Batch(
            0,
            self._token,
            None,
            self._position,
            self._count,
            ctypes.cast(members, POINTER(POINTER(c_int32))),
            self._asked,
        )

    def _check(self, wanted: dict[str, int]) -> None:
        """What the library made of the parameters: a field at a wrong place shows here."""
        made = {
            name: getattr(self._library, f"llama_{name}")(self._context)
            for name in ("n_ctx", "n_batch", "n_ubatch", "n_seq_max", "n_threads", "n_threads_batch")
        }
        made["kv_unified"] = self._library.llama_n_ctx_seq(self._context) == made["n_ctx"]
        wrong = [name for name, value in made.items() if value != wanted[name]]
        if wrong:
            raise NotKnown(f"xllamacpp took {', '.join(wrong)} for something else", hint=_HINT)

    def tokenize(self, text: str) -> list[int]:
        """Token ids; control tokens in the text are control tokens."""
        raw = text.encode()
        room = (c_int32 * (len(raw) + 1))()
        count = self._library.llama_tokenize(self._vocabulary, raw, len(raw), room, len(room), False, True)
        return room[: max(count, 0)]

    def _piece(self, token: int) -> bytes:
        """The bytes that a token stands for, control tokens included."""
        room = ctypes.create_string_buffer(256)
        size = self._library.llama_token_to_piece(self._vocabulary, token, room, len(room), 0, True)
        if size < 0:
            room = ctypes.create_string_buffer(-size)
            size = self._library.llama_token_to_piece(self._vocabulary, token, room, len(room), 0, True)
        return room.raw[:size]

    def _ends(self, token: int) -> bool:
        """Whether a token ends an answer."""
        return bool(self._library.llama_vocab_is_eog(self._vocabulary, token))

    def clear(self) -> None:
        """Forget every sequence."""
        self._library.llama_memory_clear(self._memory, False)

    def forget(self, sequence: int, start: int) -> None:
        """Forget a sequence from position ``start`` on."""
        self._library.llama_memory_seq_rm(self._memory, sequence, start, -1)

    def begin(self) -> None:
        """Start a new batch."""
        self._batch.n_tokens = self.wanted = 0

    def add(self, tokens: Sequence[int], start: int, sequence: int) -> range:
        """Put ``tokens`` into the batch at positions from ``start`` on; their places in it come back."""
        count = len(tokens)
        first = self._batch.n_tokens
        self._batch.n_tokens = last = first + count
        self._token[first:last] = [*tokens]
        self._position[first:last] = [*range(start, start + count)]
        self._count[first:last] = [1] * count
        self._asked[first:last] = [0] * count
        for place in range(first, last):
            self._members[place * self.sequences] = sequence
        return range(first, last)

    def share(self, places: Iterable[int], sequence: int) -> None:
        """Let tokens of the batch belong to one more sequence."""
        for place in places:
            count = self._count[place]
            self._members[place * self.sequences + count] = sequence
            self._count[place] = count + 1

    def want(self, places: Iterable[int]) -> None:
        """Ask for what follows these tokens of the batch, each of them once and in its order."""
        for place in places:
            self._asked[place] = 1
            self.wanted += 1

    def decode(self) -> None:
        """Decode the batch; `logits` and `likeliest` are about it until the next one."""
        state = self._library.llama_decode(self._context, self._batch)
        if state:
            raise ModelError(f"llama.cpp could not decode a batch (code {state})", hint="ask for less at once")
        self.logits = self._library.llama_get_logits(self._context)

    def likeliest(self, nth: int) -> tuple[int, float]:
        """What most likely follows the ``nth`` wanted token, and the natural logarithm of its probability."""
        size = self.vocabulary_size
        token: int = self._choosing.llama_sampler_sample(self._greedy, self._context, nth - self.wanted)
        row = ctypes.addressof(self.logits.contents) + 4 * nth * size
        most = self.logits[nth * size + token]
        return token, -log(self._choosing.ggml_vec_soft_max_f32(size, self._room, row, most))

    def close(self) -> None:
        """Free model and context."""
        if self._context:
            self._choosing.llama_sampler_free(self._greedy)
            self._library.llama_free(self._context)
            self._library.llama_model_free(self._model)
            self._context = self._model = None
