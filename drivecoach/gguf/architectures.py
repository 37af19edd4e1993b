"""The table of model architectures that can be written as GGUF: one entry is all that a new one needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

from drivecoach.errors import Fault, ModelError


class Rope(TypedDict, total=False):
    """Rotary settings, as transformers 5 or the older flat form writes them."""

    full_attention: Rope
    sliding_attention: Rope
    type: str
    """The older name of ``rope_type``."""
    rope_type: str
    rope_theta: float
    local_theta: float
    """Of Gemma 3's sliding layers; our own name."""
    factor: float
    attention_factor: float | None
    low_freq_factor: float
    high_freq_factor: float
    original_max_position_embeddings: int


class Config(TypedDict, total=False):
    """What is read of a model's ``config.json``."""

    architectures: list[str] | None
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int | None
    head_dim: int | None
    max_position_embeddings: int
    rms_norm_eps: float
    hidden_act: str | None
    hidden_activation: str | None
    tie_word_embeddings: bool
    quantization_config: object
    rope_parameters: Rope | None
    rope_scaling: Rope | None
    rope_theta: float
    rope_local_base_freq: float | None
    use_sliding_window: bool
    sliding_window: int | None
    sliding_window_pattern: int
    layer_types: list[str]
    query_pre_attn_scalar: float
    attn_logit_softcapping: float | None
    final_logit_softcapping: float | None
    use_bidirectional_attention: bool


_BLOCK = (
    "attn_norm.weight",
    "attn_q.weight",
    "attn_k.weight",
    "attn_v.weight",
    "attn_output.weight",
    "ffn_norm.weight",
    "ffn_gate.weight",
    "ffn_up.weight",
    "ffn_down.weight",
)
_QK_NORM = ("attn_q_norm.weight", "attn_k_norm.weight")


@dataclass(frozen=True)
class Architecture:
    """What llama.cpp's reading of an architecture differs in from Hugging Face's."""

    name: str
    """``general.architecture``, and the name of the tensor map in the ``gguf`` package."""
    block: tuple[str, ...]
    """Tensors that every layer has, by their GGUF names."""
    activation: str
    """The activation that llama.cpp computes for this architecture."""
    norm_shift: float = 0.0
    """Added to every norm's weight: Hugging Face's Gemma stores ``weight - 1``."""
    permute_qk: bool = False
    """llama.cpp rotates Llama's neighbouring pairs, Hugging Face its halves: rows of q and k move."""
    llama3_rope: bool = False
    """Whether llama.cpp reads ``rope_freqs.weight``, the form in which Llama 3's rope scaling is stored."""
    check: Callable[[Config], list[Fault]] = lambda config: []
    """Settings that llama.cpp fixes for this architecture, compared with the model's."""


def _qwen_faults(config: Config) -> list[Fault]:
    if config.get("use_sliding_window"):
        return [Fault("use_sliding_window", "true", "false: llama.cpp attends to the whole context")]
    return []


def _gemma3_faults(config: Config) -> list[Fault]:
    layers, faults = config["num_hidden_layers"], []
    pattern = ["full_attention" if layer % 6 == 5 else "sliding_attention" for layer in range(layers)]
    if config.get("layer_types", pattern) != pattern or config.get("sliding_window_pattern", 6) != 6:
        faults.append(Fault("layer_types", "another pattern", "full attention in every 6th layer, else sliding"))
    if not config.get("sliding_window"):
        faults.append(Fault("sliding_window", "none", "a number of tokens"))
    scale, expected = config.get("query_pre_attn_scalar", 256), head_dim(config)
    if layers == 62:  # llama.cpp knows the 27B model by its depth
        expected = config["hidden_size"] // config["num_attention_heads"]
    if scale != expected:
        faults.append(Fault("query_pre_attn_scalar", str(scale), str(expected)))
    for key in ("attn_logit_softcapping", "use_bidirectional_attention"):
        if config.get(key):
            faults.append(Fault(key, str(config.get(key)), "none"))
    return faults


ARCHITECTURES = {
    "Qwen3ForCausalLM": Architecture("qwen3", _BLOCK + _QK_NORM, "silu", check=_qwen_faults),
    "Qwen2ForCausalLM": Architecture(
        "qwen2", (*_BLOCK, "attn_q.bias", "attn_k.bias", "attn_v.bias"), "silu", check=_qwen_faults
    ),
    "LlamaForCausalLM": Architecture("llama", _BLOCK, "silu", permute_qk=True, llama3_rope=True),
    "Gemma3ForCausalLM": Architecture(
        "gemma3",
        (*_BLOCK, *_QK_NORM, "post_attention_norm.weight", "post_ffw_norm.weight"),
        "gelu_pytorch_tanh",
        norm_shift=1.0,
        check=_gemma3_faults,
    ),
}

_NEEDED = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "max_position_embeddings",
    "rms_norm_eps",
)
# What llama.cpp assumes and reads from no file, for the architectures of the table.
_ROPE_FIXED = {
    "beta_fast": 32,
    "beta_slow": 1,
    "truncate": True,
    "mscale": None,
    "mscale_all_dim": None,
    "partial_rotary_factor": 1,
}
# Kind of rotary scaling -> the numbers it needs.
_ROPE_TYPES = {
    "default": (),
    "linear": ("factor",),
    "yarn": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
}


def architecture_of(config: Config) -> Architecture:
    """The table's entry for a ``config.json``; ModelError where llama.cpp would compute something else."""
    named = next(iter(config.get("architectures") or []), None)
    if named not in ARCHITECTURES:
        raise ModelError(
            f"models of architecture {named!r} cannot be written as GGUF",
            hint="these can: " + ", ".join(sorted(ARCHITECTURES)),
        )
    architecture = ARCHITECTURES[named]
    faults = [
        Fault(f"config.json {key}", str(config.get(key, "missing")), "a number")
        for key in _NEEDED
        if not isinstance(config.get(key), int | float)
    ]
    if not faults:
        faults = _common_faults(architecture, config) + architecture.check(config)
    if faults:
        raise ModelError(
            f"llama.cpp cannot compute this {named} model as it was trained",
            hint="use a base model with the settings listed as allowed",
            faults=faults,
        )
    return architecture


def _common_faults(architecture: Architecture, config: Config) -> list[Fault]:
    faults = []
    activation = config.get("hidden_act") or config.get("hidden_activation") or architecture.activation
    if activation != architecture.activation:
        faults.append(Fault("hidden_act", activation, architecture.activation))
    if config.get("quantization_config"):
        faults.append(Fault("quantization_config", "quantized weights", "16- or 32-bit weights (merge into the base)"))
    rope = rope_parameters(config)
    for key, fixed in _ROPE_FIXED.items():
        if rope.get(key) not in (None, fixed):
            faults.append(Fault(key, str(rope.get(key)), str(fixed)))
    kind = rope["rope_type"]
    if kind not in _ROPE_TYPES or (kind == "llama3" and not architecture.llama3_rope):
        known = [name for name in _ROPE_TYPES if name != "llama3" or architecture.llama3_rope]
        faults.append(Fault("rope_type", str(kind), ", ".join(known)))
    for key in _ROPE_TYPES.get(kind, ()):
        if not isinstance(rope.get(key), int | float):
            faults.append(Fault(f"{kind} {key}", str(rope.get(key, "missing")), "a number"))
    return faults


def head_dim(config: Config) -> int:
    """Width of one attention head."""
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def rope_parameters(config: Config) -> Rope:
    """Rotary settings of the (full) attention layers: ``rope_theta``, ``rope_type``, scaling; for Gemma 3
    also ``local_theta`` of its sliding layers. Read from the form of transformers 5 or the older flat one.
    """
    given: Rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    local = (given.get("sliding_attention") or {}).get("rope_theta", config.get("rope_local_base_freq"))
    found = given.get("full_attention", given).copy()
    found.setdefault("rope_type", found.get("type", "default"))
    if "rope_theta" in config:
        found.setdefault("rope_theta", config["rope_theta"])
    if local is not None:
        found["local_theta"] = local
    return found
