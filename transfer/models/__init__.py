"""Model families, written once: no module knows which parametrization it runs under."""

from transfer.models.cnn import CNNConfig
from transfer.models.counts import Counts, count
from transfer.models.functional import (
    Arrays,
    ModelConfig,
    ModelLayout,
    forward_pass,
    initial_statistics,
    initialize,
    map_paths,
    model_layout,
    multiplier_value,
    parameter_count,
    scored_pass,
    stateful_pass,
)
from transfer.models.inputs import ImageInputs, InputSpec, TextInputs
from transfer.models.mlp import MLPConfig
from transfer.models.resnet import ResNetConfig
from transfer.models.transformer import TransformerConfig

# What a configuration's `model` may be, told apart by `kind`; the first is the default.
Model = TransformerConfig | ResNetConfig | CNNConfig

__all__ = [
    "Arrays",
    "CNNConfig",
    "Counts",
    "ImageInputs",
    "InputSpec",
    "MLPConfig",
    "Model",
    "ModelConfig",
    "ModelLayout",
    "ResNetConfig",
    "TextInputs",
    "TransformerConfig",
    "count",
    "forward_pass",
    "initial_statistics",
    "initialize",
    "map_paths",
    "model_layout",
    "multiplier_value",
    "parameter_count",
    "scored_pass",
    "stateful_pass",
]
