"""The optimizers that a configuration can name."""

import dataclasses
from collections.abc import Callable, Mapping

import optax

from transfer import optim
from transfer.scaling import Family


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """What makes an optimizer, its family, and its settings by the configuration's fields.

    `follows_horizon` says that the rule for batch size and duration (`transfer.scaling.horizon`)
    was derived for it.
    """

    make: Callable[..., optax.GradientTransformation]
    family: Family
    settings: Mapping[str, str]
    follows_horizon: bool = True


_MOMENTS = {"b1": "b1", "b2": "b2"}
_ADAM = _MOMENTS | {"eps": "epsilon"}

OPTIMIZERS: Mapping[str, Optimizer] = {
    "adamw": Optimizer(optim.adamw, "entrywise", _ADAM),
    "adam_atan2": Optimizer(optim.adam_atan2, "entrywise", _MOMENTS),
    "adamp": Optimizer(optim.adamp, "entrywise", _ADAM),
    "lion": Optimizer(optim.lion, "entrywise", _MOMENTS, follows_horizon=False),
    "sgd": Optimizer(optim.sgd, "linear", {"momentum": "momentum", "nesterov": "nesterov"}),
    "adafactor": Optimizer(optim.adafactor, "relative", {}, follows_horizon=False),
    "muon": Optimizer(
        optim.muon, "spectral", _ADAM | {"momentum": "muon_momentum"}, follows_horizon=False
    ),
}
