"""What a search expects before any trial, and why.

The surface at a width is a bowl in log2 of the hyperparameters, whose bottom moves in a straight
line over log2 of width. These are its priors, in the units in which the bowl's curvature along the
learning rate is 1; the loss's own scale is found from the trials.

| what                           | mean     | s.d.        | why                             |
|--------------------------------|----------|-------------|---------------------------------|
| bottom at the narrowest width  | mid-box  | half/sqrt 3 | uniform in the box              |
| slope of the learning rate     | recipe's | 1/4         | 0 under muP; standard: -1       |
| slope of the decay             | 0        | 1/2         | rules differ by width^(1/2)     |
| slope of a multiplier          | 0        | 1/4         | as of the learning rate         |
| curvature, learning rate       | 1        | 1/2         | the unit                        |
| curvature, the others          | 0.3      | 0.3         | an octave costs less there      |
| mixed curvature                | 0        | 0.3         | rate and decay act as a product |
| relative change of a curvature | 0        | 0.15        | neighboring bowls look alike    |

Slopes are in octaves, and changes relative, per doubling of width. Under standard, experiments have
measured slopes of -0.76 to -0.99.

Nothing here is fitted to a table of losses.
"""

import dataclasses
from collections.abc import Sequence

from transfer.scaling import Family, Recipe, Role

# How many times the forward multiplier of a matrix enters the step of its effective weight.
_MULTIPLIERS = {"entrywise": 1, "linear": 2, "spectral": 1, "relative": 0}
_LEARNING_RATE, _DECAY = "learning_rate", "weight_decay"


@dataclasses.dataclass(frozen=True)
class Prior:
    """Means and standard deviations by searched hyperparameter; see the table above.

    Arguments:
      slope, slope_sd: of the bowl's bottom, in octaves per doubling of width.
      curvature, curvature_sd: of the bowl, relative to that along the learning rate.
      mixed_sd: of the mixed curvatures.
      bending_sd: of the relative change of a curvature per doubling of width.
    """

    slope: tuple[float, ...]
    slope_sd: tuple[float, ...]
    curvature: tuple[float, ...]
    curvature_sd: tuple[float, ...]
    mixed_sd: float = 0.3
    bending_sd: float = 0.15


def prior_of(recipe: Recipe, family: Family, names: Sequence[str]) -> Prior:
    """Return what is expected of a search over these hyperparameters under a recipe.

    The best learning rate is expected to keep the step of the hidden matrices' effective weights
    as muP has it: its slope is muP's exponent of that step over width, less the recipe's own.

    Example:
      >>> prior_of(Recipe("mup"), "entrywise", ["learning_rate", "weight_decay"]).slope
      (0.0, 0.0)
      >>> prior_of(Recipe("standard"), "entrywise", ["learning_rate"]).slope
      (-1.0,)
      >>> prior_of(Recipe("ntk"), "entrywise", ["learning_rate"]).slope
      (-0.5,)
    """
    moved = _step(Recipe("mup"), family) - _step(recipe, family)
    return Prior(
        slope=tuple(moved if name == _LEARNING_RATE else 0.0 for name in names),
        slope_sd=tuple(0.5 if name == _DECAY else 0.25 for name in names),
        curvature=tuple(1.0 if name == _LEARNING_RATE else 0.3 for name in names),
        curvature_sd=tuple(0.5 if name == _LEARNING_RATE else 0.3 for name in names),
    )


def _step(recipe: Recipe, family: Family) -> float:
    """The exponent over width of the step of a hidden matrix's effective weight."""
    row = recipe.exponents(Role.HIDDEN, family)
    return float((row.learning_rate * row.multiplier ** _MULTIPLIERS[family]).width)
