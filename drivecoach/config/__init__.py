"""Recipes: the typed settings of one tuning run, read from YAML and checked before anything starts."""

from drivecoach.config.kept import RECIPE, read_recipe
from drivecoach.config.read import load_recipe
from drivecoach.config.sections import (
    BaseConfig,
    ChatConfig,
    DataConfig,
    EvaluateConfig,
    ExportConfig,
    LoraConfig,
    NanoConfig,
    ParentConfig,
    Quantization,
    Recipe,
    RefineConfig,
    SourceConfig,
    TrainConfig,
    check_model_name,
)

__all__ = [
    "RECIPE",
    "BaseConfig",
    "ChatConfig",
    "DataConfig",
    "EvaluateConfig",
    "ExportConfig",
    "LoraConfig",
    "NanoConfig",
    "ParentConfig",
    "Quantization",
    "Recipe",
    "RefineConfig",
    "SourceConfig",
    "TrainConfig",
    "check_model_name",
    "load_recipe",
    "read_recipe",
]
