"""Optimizers whose per-parameter factors follow a layout and a recipe; schedules and clipping.

`OPTIMIZERS` is the one list of them. `transfer.NAME`, `training.optimizer = "NAME"` and the tests
read it, so that another optimizer needs its function in a file of this folder, and this file.
Names are imported when they are first used, because `import transfer` must not import JAX.
"""

import dataclasses
import importlib
import typing
from collections.abc import Callable, Mapping

from transfer.renamed import renamed

if typing.TYPE_CHECKING:
    import optax

    from transfer.optim.adam import adam_atan2, adamp, adamw, nadam
    from transfer.optim.factors import LearningRate, Scalar, gradient_norm, scaled
    from transfer.optim.matrix_wise import adafactor, muon
    from transfer.optim.momentum import lion, sgd
    from transfer.optim.schedules import SCHEDULES, schedule
    from transfer.scaling import Family

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "LearningRate",
    "Optimizer",
    "Scalar",
    "adafactor",
    "adam_atan2",
    "adamp",
    "adamw",
    "gradient_norm",
    "lion",
    "muon",
    "nadam",
    "scaled",
    "schedule",
    "sgd",
]


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """Where an optimizer is, and what a configuration has to know of it.

    Fields:
      name: of its function.
      module: the file of this folder that holds it.
      family: which exponents of a parametrization its steps take.
      settings: its own arguments, and the field of `TrainingConfig` that sets each.
      follows_horizon: whether the rule for batch size and duration (`transfer.scaling.horizon`)
        was derived for it.

    Example:
      >>> OPTIMIZERS["muon"].family, OPTIMIZERS["muon"].settings["momentum"]
      ('spectral', 'muon_momentum')
    """

    name: str
    module: str
    family: "Family"
    settings: Mapping[str, str]
    follows_horizon: bool = True

    @property
    def make(self) -> "Callable[..., optax.GradientTransformation]":
        """Return the function that makes it."""
        return getattr(importlib.import_module(f"transfer.optim.{self.module}"), self.name)


_MOMENTS = {"b1": "b1", "b2": "b2"}
_ADAM = _MOMENTS | {"eps": "epsilon"}
_SGD = {"momentum": "momentum", "nesterov": "nesterov"}
_MUON = _ADAM | {"momentum": "muon_momentum"}

OPTIMIZERS: Mapping[str, Optimizer] = {
    each.name: each
    for each in (
        Optimizer("adamw", "adam", "entrywise", _ADAM),
        Optimizer("nadam", "adam", "entrywise", _ADAM),
        Optimizer("adam_atan2", "adam", "entrywise", _MOMENTS),
        Optimizer("adamp", "adam", "entrywise", _ADAM),
        Optimizer("lion", "momentum", "entrywise", _MOMENTS, follows_horizon=False),
        Optimizer("sgd", "momentum", "linear", _SGD),
        Optimizer("adafactor", "matrix_wise", "relative", {}, follows_horizon=False),
        Optimizer("muon", "matrix_wise", "spectral", _MUON, follows_horizon=False),
    )
}

_MODULES = {name: each.module for name, each in OPTIMIZERS.items()} | {
    "LearningRate": "factors",
    "SCHEDULES": "schedules",
    "Scalar": "factors",
    "gradient_norm": "factors",
    "scaled": "factors",
    "schedule": "schedules",
}


_missing = renamed("transfer.optim", {"Factors": "transfer.scaling.Rule"})


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        _missing(name)
    return getattr(importlib.import_module(f"transfer.optim.{_MODULES[name]}"), name)
