"""A program of its own: compiles a JSON Schema from standard input, where running out of memory or time harms nobody.

It calls the compiler inside xllamacpp's library, the one that the engine uses, with a tokenizer of single bytes. It
prints what is wrong, or nothing. Run as a file, so that it starts in some 50 ms, without the package.
"""

from __future__ import annotations

import ctypes
import resource
import sys
from importlib.util import find_spec
from pathlib import Path

MEMORY = 512 << 20
"""Bytes of address space; a schema of an app takes some 100 MiB, nearly all of it Python and the library."""
SECONDS = 2
_MESSAGE = 4096


class _Tokenizer(ctypes.Structure):
    """``LlgTokenizerInit`` of llguidance.h."""

    _fields_ = (
        ("vocab_size", ctypes.c_uint32),
        ("end", ctypes.c_uint32),
        ("lengths", ctypes.POINTER(ctypes.c_uint32)),
        ("bytes", ctypes.c_char_p),
        ("tokenizer_json", ctypes.c_char_p),
        ("assumes_string", ctypes.c_bool),
        ("tokenize", ctypes.c_void_p),
        ("greedy", ctypes.c_bool),
        ("user_data", ctypes.c_void_p),
        ("slices", ctypes.c_void_p),
    )


def main() -> None:
    """Read a schema, compile it, take the first step with it."""
    schema = sys.stdin.buffer.read()
    for limit, value in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(limit, (value, value))
    spec = find_spec("xllamacpp")
    assert spec is not None and spec.origin is not None  # noqa: S101  # drivecoach needs it
    library = ctypes.CDLL(str(next(Path(spec.origin).parent.glob("xllamacpp*.so"))))
    library.llg_new_tokenizer.restype = library.llg_new_matcher.restype = ctypes.c_void_p
    library.llg_matcher_get_error.restype = ctypes.c_char_p
    message = ctypes.create_string_buffer(_MESSAGE)
    lengths = (ctypes.c_uint32 * 257)(*[1] * 256, 4)
    made = _Tokenizer(257, 256, lengths, bytes(range(256)) + b"\xff<e>", None, False, None, True, None, None)
    tokenizer = library.llg_new_tokenizer(ctypes.byref(made), message, ctypes.c_size_t(_MESSAGE))
    settings = (ctypes.c_ubyte * 1024)()  # ``LlgConstraintInit``, which the library fills in itself
    library.llg_constraint_init_set_defaults(settings, ctypes.c_void_p(tokenizer))
    matcher = ctypes.c_void_p(library.llg_new_matcher(settings, b"json_schema", schema))
    library.llg_matcher_compute_mask(matcher)
    print((library.llg_matcher_get_error(matcher) or b"").decode(errors="replace"))


if __name__ == "__main__":
    main()
