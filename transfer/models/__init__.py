"""Model families, written once: no module knows which parametrization it runs under."""

from transfer.models.functional import (
    Arrays,
    ModelConfig,
    ModelLayout,
    forward_pass,
    initialize,
    map_paths,
    model_layout,
    parameter_count,
)
from transfer.models.mlp import MLPConfig
from transfer.models.transformer import TransformerConfig

__all__ = [
    "Arrays",
    "MLPConfig",
    "ModelConfig",
    "ModelLayout",
    "TransformerConfig",
    "forward_pass",
    "initialize",
    "map_paths",
    "model_layout",
    "parameter_count",
]
