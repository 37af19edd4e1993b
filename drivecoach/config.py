"""Recipes: the typed settings of one tuning run, read from YAML and checked before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from drivecoach.errors import Fault, RecipeError

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""A name that is safe in a path, a URL and a Modelfile."""

Share = Annotated[float, Field(ge=0, lt=1)]

_NOT_YAML = (yaml.YAMLError, ValueError, RecursionError)
"""What PyYAML raises: a ValueError for a date that does not exist, a RecursionError for text nested too deep."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataConfig(_Section):
    """Where the pairs are, and how many are held out (shares of all rows, by a hash of the input)."""

    path: str
    validation: Share = 0.1
    test: Share = 0.1


class ChatConfig(_Section):
    """How pairs become prompts. ``thinking: strip`` trains on the answer alone, ``keep`` on ``<think>`` too."""

    thinking: Literal["strip", "keep"] = "strip"
    system: str | None = None
    """The system message; None takes the domain's own."""


class NanoConfig(_Section):
    """Shape of the embedded base: a Qwen3-architecture model trained from scratch."""

    hidden_size: int = Field(256, gt=0, multiple_of=32)
    layers: int = Field(4, gt=0)
    heads: int = Field(4, gt=0)
    kv_heads: int = Field(2, gt=0)
    head_dim: int = Field(64, gt=0, multiple_of=2)
    intermediate_size: int = Field(512, gt=0, multiple_of=32)


class BaseConfig(_Section):
    """The model that is tuned: from the Hugging Face hub, ModelScope, a local folder, or ``nano`` (from scratch)."""

    source: Literal["hub", "modelscope", "local", "nano"]
    name: str | None = None
    """Repository id (``Qwen/Qwen3-0.6B``) or folder; not used by ``nano``."""
    revision: str | None = None
    nano: NanoConfig = NanoConfig()

    @model_validator(mode="after")
    def _named(self) -> BaseConfig:
        if self.source != "nano" and not self.name:
            raise ValueError(f"base.source: {self.source} needs base.name (a repository id or a folder)")
        return self


class LoraConfig(_Section):
    """Low-rank adapter settings, with the names PEFT uses."""

    r: int = Field(16, gt=0)
    alpha: int = Field(16, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: list[str] = Field(
        default=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"], min_length=1
    )


class TrainConfig(_Section):
    """How the model is fitted. ``lora: null`` trains all weights."""

    backend: Literal["peft"] = "peft"
    lora: LoraConfig | None = LoraConfig()
    epochs: float = Field(3, gt=0)
    max_steps: int | None = Field(None, gt=0)
    """Stop after this many optimizer steps, whatever ``epochs`` says."""
    batch_size: int = Field(16, gt=0)
    gradient_accumulation: int = Field(1, gt=0)
    learning_rate: float = Field(2e-4, gt=0)
    min_learning_rate_ratio: float = Field(0.0, ge=0, lt=1)
    """The cosine ends at this share of ``learning_rate``."""
    warmup_steps: int = Field(10, ge=0)
    weight_decay: float = Field(0.01, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    adam_beta2: float = Field(0.999, gt=0, lt=1)
    optimizer: Literal["adamw_torch", "adamw_8bit"] = "adamw_torch"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """``auto``: bf16 on a GPU that has it, else fp32."""
    gradient_checkpointing: bool = False
    max_length: int = Field(1024, gt=0)
    """Longest row in tokens, prompt and answer together; longer rows are refused, never cut."""
    seed: int = 3407
    logging_steps: int = Field(10, gt=0)
    checkpoint_steps: int = Field(200, gt=0)


class ExportConfig(_Section):
    """What is written for serving, and with which generation settings."""

    name: Name = "goDrive"
    quantizations: list[Literal["f16", "q8_0", "q4_K_M"]] = Field(default=["f16", "q4_K_M"], min_length=1)
    temperature: float = Field(0.0, ge=0)
    num_ctx: int = Field(1024, gt=0)
    num_predict: int = Field(256, gt=0)


class Recipe(_Section):
    """One tuning run, whole."""

    name: Name
    domain: Name = "driving"
    data: DataConfig
    chat: ChatConfig = ChatConfig()
    base: BaseConfig
    train: TrainConfig = TrainConfig()
    export: ExportConfig = ExportConfig()


def load_recipe(path: Path, overrides: list[str] | None = None) -> Recipe:
    """Read a recipe from YAML; ``overrides`` are ``a.b=value`` texts, the value read as YAML.

    Raises RecipeError with every fault found (unknown key, wrong type, value out of range).
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"no recipe at {path}", hint=_listing()) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read recipe {path}: {error}", hint="a recipe is a UTF-8 YAML file") from None
    except _NOT_YAML as error:
        place = f" ({str(error).splitlines()[-1].strip()})" if str(error) else ""
        raise RecipeError(f"{path} is not valid YAML{place}", hint="compare it with recipes/nano.yaml") from None
    if not isinstance(raw, dict):
        raise RecipeError(f"{path} holds no settings", hint="compare it with recipes/nano.yaml")
    for text in overrides or []:
        _override(raw, text)
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        faults = [_fault(item) for item in error.errors()]
        raise RecipeError(
            f"{path}: {len(faults)} setting(s) are wrong", faults=faults, hint=f"correct them in {path}"
        ) from None


def _override(raw: dict[str, Any], text: str) -> None:
    key, separator, value = text.partition("=")
    parts = key.strip().split(".")
    if not separator or not all(parts):
        raise RecipeError(f"--set {text!r} is not of the form a.b=value", hint="e.g. --set train.epochs=2")
    for part in parts[:-1]:
        inner = raw.setdefault(part, {})
        if not isinstance(inner, dict):
            raise RecipeError(f"--set {text!r}: {part} holds a value, not settings", hint="shorten the key")
        raw = inner
    try:
        raw[parts[-1]] = yaml.safe_load(value)
    except _NOT_YAML:
        raise RecipeError(f"--set {text!r}: the value is not valid YAML", hint="quote it") from None


def _fault(item: Any) -> Fault:
    where = ".".join(str(part) for part in item["loc"]) or "recipe"
    if item["type"] == "extra_forbidden":
        return Fault(where, "unknown key", ", ".join(_keys_beside(item["loc"])))
    if item["type"] == "missing":
        return Fault(where, "missing", "a value")
    return Fault(where, repr(item["input"])[:80], item["msg"])


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    """The keys that a section allows, found by walking the recipe's types to the unknown key's place."""
    section: type[BaseModel] = Recipe
    for part in location[:-1]:
        annotation = section.model_fields[str(part)].annotation
        options = getattr(annotation, "__args__", (annotation,))
        section = next(o for o in options if isinstance(o, type) and issubclass(o, BaseModel))
    return sorted(section.model_fields)


def _listing() -> str:
    found = sorted(str(path) for path in Path("recipes").rglob("*.yaml"))
    return "recipes here: " + ", ".join(found) if found else "give the path of a recipe YAML file"
