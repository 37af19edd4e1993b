"""The shared library of the xllamacpp wheel: a whole llama.cpp, loaded without importing the Python module."""

from __future__ import annotations

import ctypes
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from drivecoach.errors import ModelError

_HINT = "install it again: pip install --force-reinstall xllamacpp"


@cache
def shared_library() -> ctypes.CDLL:
    """llama.cpp and ggml as they are exported by the wheel. Raises ModelError where they are not."""
    spec = find_spec("xllamacpp")
    folders = [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []
    libraries = [file for folder in folders for file in sorted(folder.glob("xllamacpp*.so"))]
    try:
        return ctypes.CDLL(str(libraries[0]))
    except (IndexError, OSError) as error:
        raise ModelError("llama.cpp's functions were not found in the xllamacpp package", hint=_HINT) from error


def wheel_version() -> str:
    """The version of the wheel, e.g. ``2026.10.11549``; empty where it is not installed as a package."""
    try:
        return version("xllamacpp")
    except PackageNotFoundError:
        return ""
