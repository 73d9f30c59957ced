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
    parameter_count,
    scored_pass,
    stateful_pass,
)
from transfer.models.mlp import MLPConfig
from transfer.models.resnet import ResNetConfig
from transfer.models.transformer import TransformerConfig

__all__ = [
    "Arrays",
    "CNNConfig",
    "Counts",
    "MLPConfig",
    "ModelConfig",
    "ModelLayout",
    "ResNetConfig",
    "TransformerConfig",
    "count",
    "forward_pass",
    "initial_statistics",
    "initialize",
    "map_paths",
    "model_layout",
    "parameter_count",
    "scored_pass",
    "stateful_pass",
]
