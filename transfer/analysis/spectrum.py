"""How the top singular value of each sublayer moves with width."""

import dataclasses
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transfer.analysis.estimate import Estimate, interval_json
from transfer.analysis.losses import setting_of
from transfer.analysis.names import short_names
from transfer.analysis.slope import slope_over_seeds
from transfer.errors import TransferError
from transfer.renamed import renamed
from transfer.run_directory import TrialResult
from transfer.scaling import Recipe, Role
from transfer.scaling import decay as decay_rules
from transfer.scaling.hyperparameters import Hyperparameters

SETTLED = 3.0
"""Decay times sum_t lr_t * decay after which a spectrum has all but forgotten its init (e^-3).

Needed and not always enough: entries have settled by then, sigma_1 may still be growing.
"""

PUBLISHED_P = 0.75
"""p of sigma_1 ~ sqrt(step / decay) width^p as arXiv 2510.15262 measured it."""


@dataclasses.dataclass(frozen=True)
class SpectrumSlope:
    """d log2 sigma_1 / d log2 width of one sublayer at one setting, after training.

    `values` holds sigma_1 by width, averaged over layers and (geometrically) over seeds, and
    `decay_times` how long the runs at each width lasted, sum_t lr_t * decay. `predicted` is what
    the recipe's rates and decay rule say, which holds only where every run `is_settled`.
    """

    slope: Estimate
    predicted: float
    decay_times: dict[int, float]
    log2_learning_rate: float
    values: dict[int, float]

    if not TYPE_CHECKING:
        __getattr__ = renamed("SpectrumSlope", {"settled": "SpectrumSlope.is_settled"})

    @property
    def is_settled(self) -> bool:
        """Whether the runs of every width have all but forgotten their init."""
        return all(times >= SETTLED for times in self.decay_times.values())

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "value": self.slope.value,
            "interval": interval_json(self.slope.interval),
            **({"slope_reason": self.slope.reason} if self.slope.reason else {}),
            "predicted": self.predicted,
            "settled": self.is_settled,
            "decay_times": {str(width): times for width, times in self.decay_times.items()},
            "log2_learning_rate": self.log2_learning_rate,
            "values": {str(width): value for width, value in self.values.items()},
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "SpectrumSlope":
        """Read what `to_json` wrote; other keys are ignored."""
        slope = Estimate.from_json({**content, "reason": content.get("slope_reason")})
        return cls(
            slope=slope,
            predicted=content["predicted"],
            decay_times={int(width): times for width, times in content["decay_times"].items()},
            log2_learning_rate=content["log2_learning_rate"],
            values={int(width): value for width, value in content["values"].items()},
        )


def named_recipe(name: str) -> Recipe | None:
    """Return the recipe that a trial names; None where the name does not tell all of it.

    The decay `measured` has exponents of its own for every matrix, which no name holds.

    Example:
      >>> named_recipe("mup+measured"), str(named_recipe("mup"))
      (None, 'mup+sqrt')
    """
    return None if name.partition("+")[2] == decay_rules.MEASURED else Recipe.parse(name)


def predicted_slope(recipe: Recipe | str | None) -> float:
    """Return the width slope of sigma_1 of a settled hidden matrix under AdamW.

    sigma_1 ~ sqrt(step / decay) m^(3/4) with step ~ m^e and decay ~ m^x gives 3/4 + (e - x) / 2.
    A measured decay, which a recipe of None stands for too, is measured to give 0.

    Example:
      >>> rules = ("constant", "sqrt", "independent", "0.7")
      >>> [predicted_slope(Recipe("mup", decay=rule)) for rule in rules]
      [0.25, 0.0, -0.25, -0.1]
      >>> predicted_slope(Recipe("standard")), predicted_slope(None)
      (0.75, 0.0)

    Source: arXiv 2510.15262.
    """
    recipe = None if recipe is None else Recipe.of(recipe)
    if recipe is None or recipe.exponents(Role.HIDDEN).measured:
        return 0.0
    return round(PUBLISHED_P + (step_exponent(recipe) - decay_exponent(recipe)) / 2, 12)


def step_exponent(recipe: Recipe) -> float:
    """Return e, with which the effective step of a hidden matrix grows as m^e under a recipe.

    Example:
      >>> step_exponent(Recipe("mup")), step_exponent(Recipe("standard"))
      (-1.0, 0.0)
    """
    row = recipe.exponents(Role.HIDDEN)
    return float((row.multiplier * row.learning_rate).fan_in)


def decay_exponent(recipe: Recipe) -> float:
    """Return x, with which the decay of an effective hidden weight grows as m^x under a recipe.

    Raises `TransferError` for a measured decay, which has an exponent for every matrix.

    Example:
      >>> rules = ("constant", "independent", "0.7")
      >>> [decay_exponent(Recipe("mup", rates="none", decay=rule)) for rule in rules]
      [0.0, 0.5, 0.7]
    """
    row = recipe.exponents(Role.HIDDEN)
    if row.measured or row.weight_decay is None:
        raise TransferError(
            f"The decay of {recipe} has an exponent for every matrix; expected a recipe whose "
            "decay is a rule or one number."
        )
    return float((row.weight_decay / row.multiplier).fan_in)


def spectrum_slopes(
    trials: Iterable[TrialResult],
    spectrum: pa.Table,
    recipe: str,
    log2_learning_rate: float,
) -> dict[str, SpectrumSlope]:
    """Return the width slope of sigma_1 per sublayer of one recipe.

    All widths are compared at one setting: of those that have settled at every width, or of all
    where none has, that whose learning rate is nearest to the transferred one, at the decay and
    multipliers that are best there. Singular values are those of rank 0 after the last step of a
    run, so that all widths are at an equal fraction of training, averaged over layers; the interval
    resamples seeds jointly for all widths. Empty when no setting was run, or no spectrum recorded
    after the last step, at two widths.

    Args:
      trials: the sweep; diverged trials have no spectrum and are left out.
      spectrum: trial, step, parameter, layer, rank, singular_value.
      log2_learning_rate: where the transferred learning rate lies.

    Example:
      >>> slopes = spectrum_slopes(trials, run.spectrum(), "mup+sqrt", -6.2)  # doctest: +SKIP
      >>> slopes["attention.query"].slope.value  # doctest: +SKIP
      0.01
    """
    trials = list(trials)
    used = compared_trials(trials, spectrum, recipe, log2_learning_rate)
    if not used:
        return {}
    predicted, times = predicted_slope(named_recipe(recipe)), decay_times(used)
    sigma_1 = sigma_1_by_path(used, spectrum)
    result = {}
    for name, by_width in zip(short_names(list(sigma_1)), sigma_1.values(), strict=True):
        logs = {
            width: {seed: math.log2(value) for seed, value in by_seed.items()}
            for width, by_seed in by_width.items()
        }
        result[name] = SpectrumSlope(
            slope=slope_over_seeds(logs),
            predicted=predicted,
            decay_times=times,
            log2_learning_rate=math.log2(used[0].learning_rate),
            values={
                width: float(2 ** np.mean(list(by_seed.values())))
                for width, by_seed in logs.items()
            },
        )
    return result


def compared_trials(
    trials: Iterable[TrialResult], spectrum: pa.Table, recipe: str, log2_learning_rate: float
) -> list[TrialResult]:
    """Return the trials of the one setting at which `spectrum_slopes` compares all widths.

    Example:
      >>> {trial.width for trial in compared_trials(  # doctest: +SKIP
      ...     trials, run.spectrum(), "mup+sqrt", -6.2)}
      {16, 32, 64}
    """
    trials = list(trials)
    recorded = set(_sigma_by_trial(trials, spectrum))
    usable = [
        trial
        for trial in trials
        if trial.recipe == recipe and trial.origin == "sweep" and trial.status == "completed"
        if trial.trial in recorded
    ]
    setting = _common_setting(usable, log2_learning_rate)
    return [trial for trial in usable if setting_of(trial) == setting]


def decay_times(trials: Iterable[TrialResult]) -> dict[int, float]:
    """Return sum_t lr_t * decay of the hidden matrices by width: of the shortest run there.

    Example:
      >>> decay_times(compared_trials(trials, spectrum, "mup+sqrt", -6.2))  # doctest: +SKIP
      {32: 9.6, 64: 6.8}
    """
    times: dict[int, float] = {}
    for trial in sorted(trials, key=lambda trial: trial.width):
        times[trial.width] = min(trial.decay_times, times.get(trial.width, math.inf))
    return times


def sigma_1_by_path(
    trials: Sequence[TrialResult], spectrum: pa.Table
) -> dict[str, dict[int, dict[int, float]]]:
    """Return sigma_1 after the last step by parameter, width and seed, averaged over layers.

    Of the parameters that all of the trials have, which share one setting.

    Example:
      >>> sigma_1_by_path(used, spectrum)["layers.attention.query.kernel"]  # doctest: +SKIP
      {32: {0: 2.1, 1: 2.2}, 64: {0: 2.0, 1: 2.1}}
    """
    sigma = _sigma_by_trial(trials, spectrum)
    paths = sorted(set.intersection(*(set(sigma[trial.trial]) for trial in trials)))
    found: dict[str, dict[int, dict[int, float]]] = {path: defaultdict(dict) for path in paths}
    for trial in sorted(trials, key=lambda trial: (trial.width, trial.seed)):
        for path in paths:
            found[path][trial.width][trial.seed] = sigma[trial.trial][path]
    return {path: dict(by_width) for path, by_width in found.items()}


def _sigma_by_trial(
    trials: Iterable[TrialResult], spectrum: pa.Table
) -> dict[str, dict[str, float]]:
    """Return sigma_1 by trial and parameter: rank 0, after the run's last step, mean over layers.

    A run whose last record is of an earlier step is younger than the others and left out.
    """
    ends = pa.table(
        {
            "trial": pa.array([trial.trial for trial in trials], pa.string()),
            "steps": pa.array([trial.steps for trial in trials], pa.int64()),
        }
    )
    top = spectrum.filter(pc.field("rank") == 0)
    final = top.join(ends, keys="trial", join_type="inner").filter(
        pc.field("step") == pc.field("steps")
    )
    means = final.group_by(["trial", "parameter"]).aggregate([("singular_value", "mean")])
    sigma: dict[str, dict[str, float]] = defaultdict(dict)
    for row in means.to_pylist():
        if row["singular_value_mean"] > 0 and math.isfinite(row["singular_value_mean"]):
            sigma[row["trial"]][row["parameter"]] = row["singular_value_mean"]
    return dict(sigma)


def _common_setting(trials: list[TrialResult], log2_learning_rate: float) -> Hyperparameters | None:
    """Return the setting run at all widths that has settled, is nearest in rate, and best there."""
    by_width: dict[int, set[Hyperparameters]] = defaultdict(set)
    loss: dict[Hyperparameters, list[float]] = defaultdict(list)
    settled: dict[Hyperparameters, bool] = defaultdict(lambda: True)
    for trial in trials:
        setting = setting_of(trial)
        by_width[trial.width].add(setting)
        loss[setting].append(trial.objective_value)
        settled[setting] &= trial.decay_times >= SETTLED
    if len(by_width) < 2:
        return None
    return min(
        set.intersection(*by_width.values()),
        key=lambda setting: (
            not settled[setting],
            abs(math.log2(setting.learning_rate) - log2_learning_rate),
            float(np.mean(loss[setting])),
        ),
        default=None,
    )
