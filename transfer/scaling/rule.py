"""What a recipe prescribes for one parameter, and the families of optimizers it tells apart."""

import dataclasses
import typing
from typing import Literal

from transfer.scaling.roles import Role

Family = Literal["entrywise", "linear", "relative", "spectral"]
FAMILIES: tuple[Family, ...] = typing.get_args(Family)


@dataclasses.dataclass(frozen=True)
class Rule:
    """What a recipe prescribes for one parameter, as factors relative to the base model.

    `std` is the factor of the init std, `multiplier` that of the forward pass; `learning_rate`,
    `weight_decay` and `epsilon` multiply the optimizer's own; `clip` weighs the squared gradient in
    the clipped norm. All are exactly 1.0 at the base width and depth, but `weight_decay`, which is
    0.0 wherever the recipe's mask is off.
    """

    role: Role
    std: float
    multiplier: float
    learning_rate: float
    weight_decay: float
    epsilon: float
    clip: float
