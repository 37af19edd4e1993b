"""What this machine has for tuning and serving: each part is there, or how to get it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from drivecoach.files import free_disk

_GIB = 1024**3
_DISK = 5 * _GIB


@dataclass(frozen=True)
class Finding:
    """One part of the machine."""

    name: str
    ok: bool
    found: str
    hint: str = ""
    """What to do where it is not ``ok``."""
    needed: bool = False
    """Whether nothing works without it; the others are wanted for some recipes."""


def examine(folder: Path, host: str | None = None) -> Iterator[Finding]:
    """Look at every part in turn; ``folder`` is where runs will lie, ``host`` Ollama's address."""
    yield _python()
    yield _torch()
    yield _gpu()
    yield _package("bitsandbytes", "for train.quantize: 4bit", "pip install bitsandbytes")
    yield _unsloth()
    yield _package("xllamacpp", "the embedded llama.cpp", "pip install xllamacpp", needed=True)
    yield _ollama(host)
    yield _disk(folder)
    yield _hub()


def _python() -> Finding:
    ok = sys.version_info >= (3, 11)
    return Finding("Python", ok, platform.python_version(), "install Python 3.11 or newer", needed=True)


def _torch() -> Finding:
    return _package("torch", "to train", "pip install 'drivecoach[train]'")


def _gpu() -> Finding:
    try:
        import torch
    except ImportError:
        return Finding("GPU", False, "not known without torch", "pip install 'drivecoach[train]'")
    if not torch.cuda.is_available():
        hint = "recipes/nano.yaml needs none; for others take a machine with one, and torch built for CUDA"
        return Finding("GPU", False, "none that torch can use", hint)
    names = [
        f"{torch.cuda.get_device_name(n)}, {torch.cuda.mem_get_info(n)[0] / _GIB:.1f} of "
        f"{torch.cuda.mem_get_info(n)[1] / _GIB:.1f} GiB free"
        for n in range(torch.cuda.device_count())
    ]
    return Finding("GPU", True, "; ".join(names))


def _package(name: str, use: str, hint: str, *, needed: bool = False) -> Finding:
    try:
        return Finding(name, True, version(name), needed=needed)
    except PackageNotFoundError:
        return Finding(name, False, f"not installed ({use})", hint, needed)


def _unsloth() -> Finding:
    """Whether it imports, tried in another process: it changes TRL and transformers as it is imported."""
    found = _package("unsloth", "backend unsloth; plain PEFT is used without", "pip install 'drivecoach[unsloth]'")
    if not found.ok:
        return found
    environment = {**os.environ, "UNSLOTH_DISABLE_STATISTICS": "1"}
    try:
        command = [sys.executable, "-c", "import unsloth"]
        tried = subprocess.run(command, capture_output=True, text=True, timeout=180, env=environment)  # noqa: S603
    except subprocess.TimeoutExpired:
        return Finding("unsloth", False, f"{found.found}, but importing it takes over 3 minutes", "try again")
    if tried.returncode == 0:
        return found
    reason = tried.stderr.strip().splitlines()[-1:] or ["no reason given"]
    broken = f"{found.found}, but it does not import: {reason[0]}"
    return Finding("unsloth", False, broken, "repair or uninstall it")


def _ollama(host: str | None) -> Finding:
    from drivecoach.errors import RuntimeFailure

    try:
        from drivecoach.export.ollama import OllamaHost  # fails where OLLAMA_HOST is no address

        with closing(OllamaHost(host, seconds=3)) as server:
            return Finding("Ollama", True, f"{server.version()} at {server.url}")
    except RuntimeFailure as error:
        there = "its program is installed, but " if shutil.which("ollama") else ""
        hint = f"{error.hint}; without it: drivecoach serve, drivecoach ask"
        return Finding("Ollama", False, there + error.message, hint)


def _disk(folder: Path) -> Finding:
    free = free_disk(folder)
    hint = "free some space; a run takes about three times its 16-bit base"
    return Finding("disk", free >= _DISK, f"{free / _GIB:.0f} GiB free at {folder.resolve()}", hint)


def _hub() -> Finding:
    import httpx

    address = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        with httpx.stream("GET", f"{address}/api/models?limit=1", timeout=5) as answer:  # what it says is not read
            answer.raise_for_status()
        return Finding("hub", True, address)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        hint = "set HF_ENDPOINT to a mirror, base.source: modelscope, or use local folders"
        return Finding("hub", False, f"{address} cannot be reached ({type(error).__name__})", hint)


