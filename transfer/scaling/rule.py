"""What a recipe says of one parameter: as exact powers, and as numbers.

The learning rate's exponents depend on the size of an optimizer's step, by which optimizers fall
into four families:

| family    | step                               | optimizers                               |
|-----------|------------------------------------|------------------------------------------|
| entrywise | every entry of order 1             | Adam(W), Adam-atan2, AdamP, Lion         |
| linear    | proportional to the gradient       | SGD, with momentum too                   |
| relative  | every entry of order rms(w)        | Adafactor scaled by parameter size       |
| spectral  | all singular values of a matrix 1  | Muon; entrywise on all that is not hidden |
"""

import dataclasses
import typing
from typing import Literal

from transfer.scaling.parameter import Role
from transfer.scaling.powers import Power

Family = Literal["entrywise", "linear", "relative", "spectral"]
FAMILIES: tuple[Family, ...] = typing.get_args(Family)
_ONE = Power()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExponentRow:
    """What one role takes under a recipe and a family of optimizers, as exact powers of growth.

    `weight_decay` is None where the recipe does not decay. A `measured` decay differs between
    matrices: there `weight_decay` is that of an effective weight whose decay stays as it is, and
    each matrix takes `Calibration.factor` times that. The other columns are those of `Rule`.
    """

    std: Power = _ONE
    multiplier: Power = _ONE
    learning_rate: Power = _ONE
    weight_decay: Power | None = None
    epsilon: Power = _ONE
    clip: Power = _ONE
    measured: bool = False


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
