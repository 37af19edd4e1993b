"""Base models: where the weights come from, and what must hold before they are tuned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivecoach.chat import Chat
from drivecoach.config import BaseConfig
from drivecoach.errors import ModelError, first_line

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def locate(base: BaseConfig) -> str:
    """The folder or hub id that `transformers` loads ``base`` from; ModelScope bases are downloaded here.

    Raises ModelError when a local folder is missing or is no model.
    """
    name = base.name or ""
    if base.source == "local":
        folder = Path(name).expanduser()
        if not (folder / "config.json").is_file():
            raise ModelError(
                f"no model in {folder}: it has no config.json",
                hint="base.name must be a Hugging Face model folder, or set base.source to hub or modelscope",
            )
        return str(folder)
    if base.source == "modelscope":
        try:
            from modelscope import snapshot_download
        except ImportError:
            raise ModelError(
                "base.source: modelscope needs the modelscope package", hint="pip install modelscope"
            ) from None
        return str(_fetched(name, lambda: snapshot_download(name, revision=base.revision)))
    return name


def load_tokenizer(base: BaseConfig, chat: Chat) -> PreTrainedTokenizerBase:
    """The base's tokenizer, checked and adjusted for ``chat``.

    It must know the chat's end token. Where it pads with that token (or not at all), another control token that no
    chat uses takes the padding over, so that the end of an answer is never taken for padding.
    """
    from transformers import AutoTokenizer

    source = locate(base)
    tokenizer = _fetched(source, lambda: AutoTokenizer.from_pretrained(source, revision=base.revision))
    return fit_tokenizer(tokenizer, chat, source)


def fit_tokenizer(tokenizer: Any, chat: Chat, source: str) -> PreTrainedTokenizerBase:
    """Check a tokenizer for ``chat``, set its end token, padding and chat template (see `load_tokenizer`)."""
    if len(tokenizer.encode(chat.end, add_special_tokens=False)) != 1:
        raise ModelError(
            f"the tokenizer of {source} does not know {chat.end}, so this base cannot speak {chat.family.name}",
            hint="set chat.template to the base's own family (chatml, gemma, llama3), or choose another base",
        )
    if tokenizer.pad_token_id is None or tokenizer.pad_token == chat.end:
        tokenizer.pad_token = _padding(tokenizer, chat, source)
    tokenizer.eos_token = chat.end
    tokenizer.chat_template = chat.source
    return tokenizer


def _padding(tokenizer: Any, chat: Chat, source: str) -> str:
    known: list[str] = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    free = [token for token in known if token != chat.end and token not in chat.source]
    best = [token for token in free if "pad" in token] + [token for token in free if "endoftext" in token] + free
    if not best:
        raise ModelError(
            f"the tokenizer of {source} pads with its end token; the model would never learn to stop",
            hint=f"set pad_token to an unused token in {source}/tokenizer_config.json",
        )
    return best[0]


def load_model(base: BaseConfig, dtype: Any, **settings: Any) -> PreTrainedModel:
    """The base's weights in ``dtype`` (a torch dtype), safetensors only, no remote code.

    ``settings`` go to ``from_pretrained`` (e.g. ``quantization_config``).
    """
    from transformers import AutoModelForCausalLM

    source = locate(base)
    return _fetched(
        source,
        lambda: AutoModelForCausalLM.from_pretrained(
            source, revision=base.revision, dtype=dtype, use_safetensors=True, **settings
        ),
    )


def stored(base: BaseConfig) -> dict[str, Path]:
    """The name of each tensor of the base's weights, as it is stored, and its file; empty where there are none.

    Raises ModelError for a base that cannot be reached.
    """
    from safetensors import safe_open
    from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, cached_file

    source = locate(base)

    def file(name: str) -> Path | None:
        found = cached_file(source, name, revision=base.revision, _raise_exceptions_for_missing_entries=False)
        return Path(found) if found else None

    def found() -> dict[str, Path]:
        if index := file(SAFE_WEIGHTS_INDEX_NAME):
            names: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
            files = {name: file(name) for name in sorted({*names.values()})}
            return {key: path for key, name in names.items() if (path := files[name])}
        if single := file(SAFE_WEIGHTS_NAME):
            with safe_open(single, "pt") as tensors:
                return dict.fromkeys(tensors.keys(), single)
        return {}

    made: dict[str, Path] = _fetched(source, found)
    return made


def precision(base: BaseConfig) -> torch.dtype:
    """The type that the base's own weights are stored in: 16 bits of either kind, else 32."""
    import torch
    from transformers import AutoConfig

    source = locate(base)
    config = _fetched(source, lambda: AutoConfig.from_pretrained(source, revision=base.revision))
    # The loaded model's config would say the type it was loaded in; that of a multimodal model says it of its parts.
    stored = config.dtype or config.get_text_config().dtype
    return stored if stored in (torch.float16, torch.bfloat16) else torch.float32


def load_adapter(model: Any, folder: Path) -> Any:
    """``model`` with the adapter of an earlier run in place, to be trained on; raises ModelError for a damaged one."""
    from peft import PeftModel
    from safetensors import SafetensorError

    try:
        return PeftModel.from_pretrained(model, str(folder), is_trainable=True)
    except (RuntimeError, ValueError, OSError, SafetensorError) as error:
        raise ModelError(
            f"the adapter in {folder} cannot be trained on: {first_line(error)}",
            hint="train the run that it belongs to anew, or train this one without --resume",
        ) from error


def _fetched(name: str, load: Any) -> Any:
    try:
        return load()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(
            f"cannot load {name}: {first_line(error)}",
            hint="check base.name and the network, set base.source: modelscope, or give a local folder "
            "(base.source: local)",
        ) from error
