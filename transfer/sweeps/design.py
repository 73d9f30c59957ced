"""Which sweep to run for a target, given what it may cost: the one of least expected regret."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator

from transfer.analysis import USUAL, ExpectedBowl
from transfer.config import Experiment
from transfer.errors import TransferError
from transfer.sweeps.cost import GroupCost


@dataclasses.dataclass(frozen=True, kw_only=True)
class Design:
    """A sweep that could be run.

    Fields:
      widths, rates, spacing, seeds: of the grid; rates lie `spacing` octaves apart.
      steps: of every run.
      trials: of all widths together.
      flops, seconds: of all of them, here.
      regret: the expected relative regret at the target.
      error: standard deviation of the best rate at the target about the predicted one, in octaves.
    """

    widths: tuple[int, ...]
    rates: int
    spacing: float
    seeds: int
    steps: int
    trials: int
    flops: float
    seconds: float
    regret: float
    error: float

    def __str__(self) -> str:
        """Say it, with the flags that make it."""
        shown = ",".join(map(str, self.widths))
        return (
            f"widths {shown}, {self.steps} steps, {self.rates} learning rates in "
            f"factors of {2**self.spacing:.3g} x {self.seeds} seed{'s' * (self.seeds > 1)}: "
            f"{self.trials} trials, {self.flops:.2g} FLOPs, expected regret "
            f"{100 * self.regret:.2f} % at the target"
        )


# Numbers of rates and octaves between them: both grids span a factor of four to either side of what
# is expected, about as far as the best rate of a new model is unknown.
_RATES = ((5, 1.0), (9, 0.5))
_SEEDS = (1, 2, 3, 5)
_SHARES = (1.0, 0.5, 0.25)
_HALVINGS = (1, 2, 3, 4)
_NUMBERS_OF_WIDTHS = (2, 3, 4)

Cost = Callable[[int, int], GroupCost]


def expected_regret(
    spacing: float,
    seeds: int,
    *,
    octaves: float,
    shortening: float,
    has_horizon_rule: bool,
    bowl: ExpectedBowl = USUAL,
) -> tuple[float, float]:
    """Return the expected relative regret at the target, and the standard error in octaves.

    Half the curvature times the mean square of the error, which is the sum of three: that of the
    vertex of a parabola through the rates of the widest proxy, noise^2 / (curvature^2 seeds
    sum x^2); what the best rate moves by on the way in width; and by the way in steps.

    Arguments:
      spacing, seeds: octaves between rates, and runs of each, of the widest proxy's grid.
      octaves: log2 of the target's width over the widest proxy's.
      shortening: log2 of the target's steps over those of the proxies.
      has_horizon_rule: whether the recipe says what another number of steps does, which leaves half
        of the drift.

    Example:
      >>> regret, error = expected_regret(
      ...     1.0, 3, octaves=1.0, shortening=0.0, has_horizon_rule=False
      ... )
      >>> round(100 * regret, 3), round(error, 3)
      (0.029, 0.152)
    """
    # The three points about the best one decide, as for the optimum of a sweep.
    squares = 2 * spacing**2
    vertex = bowl.noise**2 / (bowl.curvature**2 * seeds * squares)
    width = (bowl.drift * octaves) ** 2
    steps = (bowl.shortening * shortening / (2 if has_horizon_rule else 1)) ** 2
    variance = vertex + width + steps
    return bowl.curvature / 2 * variance, math.sqrt(variance)


def propose(
    experiment: Experiment,
    cost: Cost,
    *,
    budget_flops: float = math.inf,
    budget_seconds: float = math.inf,
    bowl: ExpectedBowl = USUAL,
) -> Design:
    """Return the sweep of least expected regret at `model.width` that a budget allows.

    Widths are halvings of the target, at least two so that a drift shows; steps are the target's,
    half or a quarter of them; of sweeps that are expected to lose the same the cheapest counts.

    Arguments:
      experiment: of the target, whose recipe, model and training stay.
      cost: what a trial at a width takes with so many steps.
      budget_flops, budget_seconds: for all trials together.
      bowl: what is expected of the losses.

    Raises:
      TransferError: no sweep is that cheap.
    """
    designs = list(_designs(experiment, cost, bowl))
    if not designs:
        raise TransferError(
            f"model.width, the target, is {experiment.model.width}; no half or quarter of it is a "
            "width of the model, so no proxies can be proposed: expected a wider target."
        )
    allowed = [
        each for each in designs if each.flops <= budget_flops and each.seconds <= budget_seconds
    ]
    if not allowed:
        cheapest = min(designs, key=lambda each: each.flops)
        raise TransferError(
            f"No sweep for width {experiment.model.width} is as cheap as --budget asks; the "
            f"cheapest takes {cheapest.flops:.2g} FLOPs and about {cheapest.seconds:.0f} s here: "
            f"{cheapest}."
        )
    least = min(each.regret for each in allowed)
    # A hundredth of a percent is below what any seed shows.
    near = [each for each in allowed if each.regret <= least + 1e-4]
    return min(near, key=lambda each: (each.flops, each.regret))


def _designs(experiment: Experiment, cost: Cost, bowl: ExpectedBowl) -> Iterator[Design]:
    target = experiment.model.width
    full = experiment.steps(target)
    has_rule = bool(experiment.recipe.horizon)
    known: dict[tuple[int, int], GroupCost] = {}

    def take(width: int, steps: int) -> GroupCost:
        if (width, steps) not in known:
            known[width, steps] = cost(width, steps)
        return known[width, steps]

    for halvings, number, share in itertools.product(_HALVINGS, _NUMBERS_OF_WIDTHS, _SHARES):
        widths = [target / 2**k for k in range(halvings, halvings + number)]
        steps = max(1, round(share * full))
        if not all(_is_width(experiment, width) for width in widths):
            continue
        runs = [take(int(width), steps) for width in reversed(widths)]
        for (rates, spacing), seeds in itertools.product(_RATES, _SEEDS):
            regret, error = expected_regret(
                spacing,
                seeds,
                octaves=math.log2(target / runs[-1].width),
                shortening=math.log2(full / steps),
                has_horizon_rule=has_rule,
                bowl=bowl,
            )
            each = rates * seeds
            yield Design(
                widths=tuple(run.width for run in runs),
                rates=rates,
                spacing=spacing,
                seeds=seeds,
                steps=steps,
                trials=each * len(runs),
                flops=each * sum(run.flops for run in runs),
                seconds=each * sum(run.seconds for run in runs),
                regret=regret,
                error=error,
            )


def _is_width(experiment: Experiment, width: float) -> bool:
    """Whether the model can be built that narrow."""
    if width != int(width):
        return False
    try:
        experiment.at(int(width))
    except TransferError:
        return False
    return True
