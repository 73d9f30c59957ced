"""How arrays and work are sharded over devices: the mesh, the rules, the collectives in a model."""

from transfer.sharding.device_memory import free_memory
from transfer.sharding.mesh import make_mesh
from transfer.sharding.mesh_shape import AXES, DATA, FSDP, TENSOR, TRIAL, MeshConfig
from transfer.sharding.rules import (
    ACTIVATIONS,
    PARAMETERS,
    Rules,
    batches,
    eval_batches,
    parameter_spec,
    per_trial,
    spread,
    state_shardings,
)

__all__ = [
    "ACTIVATIONS",
    "AXES",
    "DATA",
    "FSDP",
    "PARAMETERS",
    "TENSOR",
    "TRIAL",
    "MeshConfig",
    "Rules",
    "batches",
    "eval_batches",
    "free_memory",
    "make_mesh",
    "parameter_spec",
    "per_trial",
    "spread",
    "state_shardings",
]
