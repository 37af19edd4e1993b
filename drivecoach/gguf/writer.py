"""Write a Hugging Face model folder as an f16 GGUF, tensor by tensor, without torch."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from drivecoach.errors import Fault, ModelError
from drivecoach.files import written_aside
from drivecoach.gguf.ahead import in_order
from drivecoach.gguf.architectures import Architecture, Config, Rope, architecture_of, head_dim, rope_parameters
from drivecoach.gguf.numbers import NUMPY, are_finite, floats, halves
from drivecoach.gguf.vocab import Vocabulary, read_vocabulary
from drivecoach.progress import progress

if TYPE_CHECKING:
    from gguf import GGUFWriter, TensorNameMap

_CHUNK = 1 << 22
"""Values converted at a time."""
_SKIPPED = (".rotary_emb.inv_freq", ".attention.masked_bias", ".attention.bias")


@dataclass(frozen=True)
class _Source:
    """One tensor of the GGUF and how to get at its values."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    """As safetensors names it."""
    load: Callable[[], np.ndarray]
    """All values in one row; BF16 ones as the 16 bits they are stored in."""
    heads: int = 0
    """For Llama's q and k: the number of heads whose rows change places."""
    shift: float = 0.0
    """Added to every value."""

    @property
    def half(self) -> bool:
        """f16 for matrices, f32 for norms and biases, as llama.cpp's own converter does."""
        return len(self.shape) > 1 and not self.name.endswith("_norm.weight")

    def chunks(self) -> Iterator[np.ndarray]:
        """The stored values, a run at a time."""
        raw = self.load()
        if self.heads:
            halves = raw.reshape(self.heads, 2, self.shape[0] // self.heads // 2, *self.shape[1:])
            raw = halves.swapaxes(1, 2).reshape(-1)
        return (raw[start : start + _CHUNK] for start in range(0, len(raw), _CHUNK))

    def convert(self, raw: np.ndarray) -> np.ndarray:
        """Stored values in the type of the GGUF; runs in several threads at a time."""
        with np.errstate(over="ignore"):
            part = halves(raw, self.dtype) if self.half else floats(raw, self.dtype).astype("<f4")
        if self.shift:  # of norms, which are no matrices
            part += part.dtype.type(self.shift)
        if not are_finite(part):
            raise ModelError(
                f"tensor {self.name} holds numbers that are not finite" + (" in 16 bits" if self.half else ""),
                hint="the training diverged: train again with a lower learning rate",
            )
        return part


def write_gguf(
    model_dir: Path,
    target: Path,
    *,
    metadata: Mapping[str, str | bool | int | float] | None = None,
    chat_template: str | None = None,
) -> None:
    """Write the model in ``model_dir`` as the f16 GGUF ``target``.

    ``model_dir`` is an ordinary Hugging Face folder: ``config.json``, ``*.safetensors`` (sharded or not) and
    ``tokenizer.json`` with its ``tokenizer_config.json``. ``metadata`` adds fields of one's own (and may set
    ``general.name``); ``chat_template`` becomes ``tokenizer.chat_template``, None leaves it out.

    The fields and tensors are those of llama.cpp's ``convert_hf_to_gguf.py``. Raises ModelError for a model
    that is incomplete, damaged, or that llama.cpp would compute differently; StorageError when ``target``
    cannot be written.
    """
    from gguf import GGUFWriter, get_tensor_name_map
    from gguf.constants import MODEL_ARCH, MODEL_ARCH_NAMES

    config = _read_config(model_dir)
    architecture = architecture_of(config)
    code = next(code for code, name in MODEL_ARCH_NAMES.items() if name == architecture.name)
    names = get_tensor_name_map(MODEL_ARCH(code), config["num_hidden_layers"])
    tensors = _tensors(model_dir, config, architecture, names)
    rows = next(tensor.shape[0] for tensor in tensors if tensor.name == "token_embd.weight")
    vocabulary = read_vocabulary(model_dir, rows)

    writer = GGUFWriter(path=None, arch=architecture.name)
    for tensor in tensors:
        dtype = np.dtype("<f2" if tensor.half else "<f4")
        writer.add_tensor_info(tensor.name, tensor.shape, dtype, math.prod(tensor.shape) * dtype.itemsize)
    own = dict(metadata or {})
    writer.add_name(str(own.pop("general.name", model_dir.resolve().name)))
    _add_model_fields(writer, config, rows, architecture)
    _add_vocabulary(writer, vocabulary)
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    _add_own_fields(writer, own)
    chunks = ((tensor, chunk) for tensor in tensors for chunk in tensor.chunks())
    with (
        written_aside(target) as part,
        progress(f"export: {target.name}", len(tensors), unit="tensor") as task,
    ):
        try:
            writer.write_header_to_file(part)
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            stream = writer.fout[0]
            writer.write_padding(stream, stream.tell())
            for _, converted in groupby(in_order(_convert, chunks), itemgetter(0)):
                for _, chunk in converted:
                    stream.write(chunk.data)
                writer.write_padding(stream, stream.tell())
                task.advance()
        finally:
            writer.close()


def _convert(part: tuple[_Source, np.ndarray]) -> tuple[str, np.ndarray]:
    tensor, raw = part
    return tensor.name, tensor.convert(raw)


def _read_config(model_dir: Path) -> Config:
    path = model_dir / "config.json"
    try:
        config: Config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        adapter = (model_dir / "adapter_config.json").exists()
        raise ModelError(
            f"cannot read {path}: {error}",
            hint="this is an adapter: merge it into its base first (`drivecoach export` does)"
            if adapter
            else "give the folder of a Hugging Face model (config.json, *.safetensors, tokenizer.json)",
        ) from error
    if not isinstance(config, dict):
        raise ModelError(f"{path} is not a JSON object", hint="copy the model again")
    return config


def _tensors(model_dir: Path, config: Config, architecture: Architecture, names: TensorNameMap) -> list[_Source]:
    """The tensors of the GGUF in the order of the model's files; ModelError lists all missing or unknown."""
    tied = bool(config.get("tie_word_embeddings", architecture.name == "gemma3"))
    heads = config["num_attention_heads"]
    permuted = {"attn_q": heads, "attn_k": config.get("num_key_value_heads") or heads}
    found, faults = [], []
    for key, (path, offset, shape, dtype) in _stored_tensors(model_dir).items():
        if key.endswith(_SKIPPED) or (tied and key == "lm_head.weight"):
            continue
        name = names.get_name(key, try_suffixes=(".weight", ".bias"))
        if name is None:
            faults.append(Fault(key, f"shape {list(shape)}", "tensors that llama.cpp knows"))
            continue
        if dtype not in NUMPY:
            faults.append(Fault(key, dtype, "one of " + ", ".join(NUMPY)))
            continue
        role = name.split(".")[-2]
        found.append(
            _Source(
                name,
                shape,
                dtype,
                partial(np.fromfile, path, NUMPY[dtype], math.prod(shape), offset=offset),
                heads=permuted.get(role, 0) if architecture.permute_qk else 0,
                shift=architecture.norm_shift if name.endswith("norm.weight") else 0.0,
            )
        )
    needed = {"token_embd.weight", "output_norm.weight"} | (set() if tied else {"output.weight"})
    needed |= {f"blk.{layer}.{part}" for layer in range(config["num_hidden_layers"]) for part in architecture.block}
    present = {tensor.name for tensor in found}
    faults += [Fault(name, "missing", f"part of every {architecture.name} model") for name in sorted(needed - present)]
    faults += [Fault(name, "not read by llama.cpp", "no such tensor") for name in sorted(present - needed)]
    if faults:
        raise ModelError(
            f"the weights in {model_dir} are not those of a {architecture.name} model",
            hint="save or download the model again, with all its *.safetensors files",
            faults=faults,
        )
    rope = rope_parameters(config)
    if rope["rope_type"] == "llama3":
        factors = _llama3_factors(rope, head_dim(config))
        found.append(_Source("rope_freqs.weight", factors.shape, "F32", lambda: factors))
    return found


def _stored_tensors(model_dir: Path) -> dict[str, tuple[Path, int, tuple[int, ...], str]]:
    """Name -> (file, offset, shape, dtype) of all tensors in the folder's safetensors files."""
    from gguf.utility import SafetensorsLocal

    index = model_dir / "model.safetensors.index.json"
    try:
        if index.is_file():
            files = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        else:
            files = ["model.safetensors"]
        stored = {}
        for file in files:
            path = model_dir / Path(file).name
            size = path.stat().st_size
            for key, tensor in SafetensorsLocal(path).tensors.items():
                place = tensor.data_range
                if place.offset + place.size > size:
                    raise ValueError(f"{path} ends inside tensor {key}")
                stored[key] = (path, place.offset, tensor.shape, tensor.dtype)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"cannot read the weights in {model_dir}: {error}",
            hint="save or download the model again, with all its *.safetensors files",
        ) from error
    return stored


def _llama3_factors(rope: Rope, width: int) -> np.ndarray:
    """Divisor of each rotary frequency: 1 for short waves, ``factor`` for long ones, blended between.

    Source: ``_compute_llama3_parameters`` in transformers' ``modeling_rope_utils.py``.
    """
    wavelength = 2 * np.pi * rope["rope_theta"] ** (np.arange(0, width, 2) / width)
    low, high, factor = rope["low_freq_factor"], rope["high_freq_factor"], rope["factor"]
    smooth = (rope["original_max_position_embeddings"] / wavelength - low) / (high - low)
    blend = np.clip(smooth, 0.0, 1.0)
    factors: np.ndarray = 1 / ((1 - blend) / factor + blend)
    return factors.astype(np.float32)


def _add_model_fields(writer: GGUFWriter, config: Config, rows: int, architecture: Architecture) -> None:
    from gguf import GGML_QUANT_VERSION, GGUFType, LlamaFileType, RopeScalingType, size_label

    writer.add_type(GGUFType.MODEL)
    writer.add_size_label(size_label(*writer.get_total_parameter_count()))
    heads = config["num_attention_heads"]
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_key_length(head_dim(config))
    writer.add_value_length(head_dim(config))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(rows)
    rope = rope_parameters(config)
    writer.add_rope_dimension_count(head_dim(config))
    writer.add_rope_freq_base(rope.get("rope_theta", 10_000.0))
    if "local_theta" in rope:
        writer.add_rope_freq_base_swa(rope["local_theta"])
    if architecture.name == "gemma3":
        writer.add_sliding_window(config["sliding_window"])
        if config.get("final_logit_softcapping"):
            writer.add_final_logit_softcapping(config["final_logit_softcapping"])
    if rope["rope_type"] in ("linear", "yarn"):
        writer.add_rope_scaling_type(RopeScalingType(rope["rope_type"]))
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_orig_ctx_len(
            rope.get("original_max_position_embeddings", config["max_position_embeddings"])
        )
        if (factor := rope.get("attention_factor")) is not None:
            # llama.cpp multiplies this with YaRN's usual factor, transformers puts it in its place.
            usual = 0.1 * math.log(rope["factor"]) + 1
            writer.add_rope_scaling_attn_factors(factor / usual)
    writer.add_file_type(LlamaFileType.MOSTLY_F16)
    writer.add_quantization_version(GGML_QUANT_VERSION)


def _add_vocabulary(writer: GGUFWriter, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.kinds)
    if vocabulary.scores is not None:
        writer.add_token_scores(vocabulary.scores)
    if vocabulary.merges is not None:
        writer.add_token_merges(vocabulary.merges)
    for role, row in vocabulary.ids.items():
        writer.add_uint32(f"tokenizer.ggml.{_KEYS.get(role, role)}_token_id", row)
    for flag, value in vocabulary.flags.items():
        writer.add_bool(f"tokenizer.ggml.{flag}", value)


# Roles whose GGUF key is not the Hugging Face name.
_KEYS = {"unk": "unknown", "sep": "seperator", "pad": "padding"}


def _add_own_fields(writer: GGUFWriter, metadata: Mapping[str, str | bool | int | float]) -> None:
    from gguf import GGUFValueType

    for key, value in metadata.items():
        taken = key in writer.kv_data[0]
        if taken or not re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+", key):
            raise ModelError(
                f"{key!r} cannot be a metadata field of one's own" + (": the model sets it" if taken else ""),
                hint="use lower-case words joined by dots, such as drivecoach.system",
            )
        if isinstance(value, bool):
            kind = GGUFValueType.BOOL
        elif isinstance(value, int):
            kind = GGUFValueType.INT64 if value < 0 or value >= 1 << 32 else GGUFValueType.UINT32
        elif isinstance(value, float):
            kind = GGUFValueType.FLOAT64
        else:
            kind = GGUFValueType.STRING
        writer.add_key_value(key, value, kind)
