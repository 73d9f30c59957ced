"""From the singular values of proxies to decay exponents, verified on a width that was held out.

Every hidden matrix has a p of its own, and so an exponent that keeps its sigma_1 level; or one
exponent, of the mean p, serves them all. The narrower proxies say which exponents those are, and
the widest, held out, says what each choice leaves over.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from transfer.analysis.estimate import Estimate
from transfer.analysis.measured_decay import MeasuredDecay, measure_decay, require_settled
from transfer.analysis.names import short_names
from transfer.analysis.slope import slope_over_seeds
from transfer.analysis.spectrum import (
    compared_trials,
    decay_exponent,
    decay_times,
    sigma_1_by_path,
    step_exponent,
)
from transfer.errors import TransferError
from transfer.markup import html_paragraph
from transfer.run_directory import TrialResult
from transfer.scaling import Calibration, Recipe

Sigma = Mapping[int, Mapping[int, float]]  # by width and seed

_ROUNDING = 1e-9  # of slopes of equal numbers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibrated:
    """The exponents that were chosen, and what the held-out width says of every choice.

    `measured` has the p of every matrix and `common` the exponent for all of them, that of the mean
    p, both from `widths`. `own` are the matrices whose p the seeds tell from the mean. Residuals
    are slopes of log sigma_1 from the widest of `widths` to `held_out` that are left when decay
    follows the swept rule, the common exponent, or an exponent by matrix where it has its own.
    """

    calibration: Calibration
    widths: tuple[int, ...]
    held_out: int
    measured: Mapping[str, MeasuredDecay]
    common: float
    own: tuple[str, ...]
    residual_swept: Mapping[str, float]
    residual_common: Mapping[str, float]
    residual_own: Mapping[str, float]

    @property
    def by_matrix(self) -> bool:
        """Whether exponents by matrix leave less over on the held-out width than one for all."""
        return spread(self.residual_own) < spread(self.residual_common)

    def require_verified(self) -> None:
        """Raise `TransferError` where the swept rule leaves sigma_1 as near to level as any."""
        swept = spread(self.residual_swept)
        chosen = spread(self.residual_own if self.by_matrix else self.residual_common)
        if not chosen < swept:
            raise TransferError(
                f"The measured decay does not hold on the held-out width {self.held_out}: it "
                f"leaves sigma_1 a slope of {chosen:.2g} (root mean square), the swept rule "
                f"{swept:.2g}; expected less: keep the swept rule, or measure on longer runs and "
                "wider proxies."
            )

    @property
    def notes(self) -> tuple[str, ...]:
        """What was measured, verified and chosen, in sentences."""
        widths = ", ".join(map(str, self.widths))
        return (
            f"decay exponents measured at widths {widths} and verified at {self.held_out}, on runs "
            "of the swept rule, by sigma_1 ~ decay^-1/2: no run under the exponents themselves",
            f"at width {self.held_out} sigma_1 is left with slopes of "
            f"{_slopes(self.residual_own)} under exponents by matrix, "
            f"{_slopes(self.residual_common)} under one for all, and "
            f"{_slopes(self.residual_swept)} under the swept rule",
            self._choice(),
        )

    def _repr_html_(self) -> str:
        """The sentences, for notebooks."""
        return "\n".join(html_paragraph(f"{note[0].upper()}{note[1:]}.") for note in self.notes)

    def _choice(self) -> str:
        total, common = len(self.measured), f"{self.common:z.2f}"
        if not self.own:
            return (
                f"one exponent, {common}, for all {total} matrices: seeds tell no p from the mean"
            )
        if not self.by_matrix:
            return (
                f"one exponent, {common}, for all {total} matrices: exponents by matrix did no "
                "better on the held-out width"
            )
        names = dict(zip(self.measured, short_names(list(self.measured)), strict=True))
        chosen = dict(zip(self.calibration.paths, self.calibration.exponents, strict=True))
        listed = ", ".join(f"{names[path]} {chosen[path]:z.2f}" for path in self.own)
        others = f", and {common} for the other {total - len(self.own)}"
        better = spread(self.residual_common) / spread(self.residual_own)
        return (
            f"exponents by matrix, {better:.3g} times closer to level than one for all: {listed}"
            f"{others if len(self.own) < total else ''}"
        )


def spread(residuals: Mapping[str, float]) -> float:
    """Return how far from level slopes are, sqrt(mean(slope^2)).

    Example:
      >>> spread({"up": 0.3, "down": -0.4})
      0.3535533905932738
    """
    return math.sqrt(sum(slope**2 for slope in residuals.values()) / len(residuals))


def calibrate_run(
    trials: Iterable[TrialResult],
    spectrum: pa.Table,
    recipe: str,
    proxy_widths: Sequence[int],
    log2_learning_rate: float,
) -> Calibrated:
    """Return decay exponents for the hidden matrices from a sweep's proxies.

    `calibrate` of sigma_1 after the last step, at one setting that was run at all widths: that at
    which `spectrum_slopes` compares them.

    Args:
      proxy_widths: widths of the sweep, of which the widest is held out.
      log2_learning_rate: where the transferred learning rate lies.

    Raises:
      TransferError: there are singular values of one setting at fewer than three of the widths, or
        runs have not settled.

    Example:
      >>> found = calibrate_run(  # doctest: +SKIP
      ...     trials, run.spectrum(), "mup+sqrt", [32, 64, 128], -6.2)
      >>> found.calibration.exponents  # doctest: +SKIP
      (0.23, 0.98)
    """
    proxies = [trial for trial in trials if trial.width in set(proxy_widths)]
    used = compared_trials(proxies, spectrum, recipe, log2_learning_rate)
    times = decay_times(used)
    if len(times) < 3:
        raise TransferError(
            f"The decay of {recipe} cannot be measured: singular values of one setting are there "
            f"at {len(times)} of the proxy widths {', '.join(map(str, sorted(proxy_widths)))}; "
            "expected three or more, two to measure between and a wider one to verify at."
        )
    swept = Recipe.parse(recipe)
    return calibrate(sigma_1_by_path(used, spectrum), swept, times, used[0].base_width)


def calibrate(
    sigma_1: Mapping[str, Sigma],
    recipe: Recipe | str,
    decay_times: Mapping[int, float],
    base_width: int,
) -> Calibrated:
    """Return decay exponents for hidden matrices, from sigma_1 at three or more widths.

    sigma_1 ~ sqrt(step / decay) width^p with step ~ m^e is level for decay ~ m^(2p + e), which is
    2p - 1 under muP's rates. p is measured at all widths but the widest. A matrix has an exponent
    of its own where the interval of its p less the mean over matrices leaves out 0, which takes
    two seeds, and the others that of the mean; unless one exponent for all leaves sigma_1 as near
    to level on the widest. Both are held against that width by the law above, from runs of the
    swept rule.

    Arguments:
      sigma_1: top singular values by path, width and seed, at the end of training.
      recipe: what the runs were trained under.
      decay_times: sum_t lr_t * decay of the hidden matrices, by width.
      base_width: where the recipe's hyperparameters are meant.

    Raises `TransferError` when a run has not settled, and for what `measure_decay` refuses.

    Example:
      >>> up = {width: {0: 1.0, 1: 1.1} for width in (64, 128, 256)}
      >>> down = {width: {0: width**0.25, 1: width**0.25} for width in (64, 128, 256)}
      >>> times = dict.fromkeys(up, 5.0)
      >>> found = calibrate({"up": up, "down": down}, Recipe("mup"), times, base_width=64)
      >>> [round(x, 6) for x in found.calibration.exponents]
      [0.5, 1.0]

    Source: arXiv 2510.15262 (the law).
    """
    recipe = Recipe.of(recipe)
    step, swept = step_exponent(recipe), decay_exponent(recipe)
    require_settled(decay_times)
    *widths, held_out = sorted(decay_times)
    known = {path: {width: sigma_1[path][width] for width in widths} for path in sigma_1}
    measured = measure_decay(known, recipe, decay_times)
    mean = _mean(known)
    own = tuple(path for path in known if _differs(known[path], mean))
    common = 2 * _value(measure_decay({"mean": mean}, recipe, decay_times)["mean"].p) + step
    for_all = dict.fromkeys(sigma_1, common)
    by_matrix = for_all | {path: 2 * _value(measured[path].p) + step for path in own}
    last = {
        path: _log2_mean(by_width[held_out]) - _log2_mean(by_width[widths[-1]])
        for path, by_width in sigma_1.items()
    }
    doublings = math.log2(held_out / widths[-1])

    def residual(x: Mapping[str, float]) -> dict[str, float]:
        return {path: last[path] / doublings - (x[path] - swept) / 2 for path in sigma_1}

    left_common, left_own = residual(for_all), residual(by_matrix)
    best = by_matrix if spread(left_own) < spread(left_common) else for_all
    return Calibrated(
        calibration=Calibration(
            paths=tuple(best),
            exponents=tuple(best.values()),
            swept=swept,
            widest=held_out / base_width,
        ),
        widths=tuple(widths),
        held_out=held_out,
        measured=measured,
        common=common,
        own=own,
        residual_swept=residual(dict.fromkeys(sigma_1, swept)),
        residual_common=left_common,
        residual_own=left_own,
    )


def _mean(sigma: Mapping[str, Sigma]) -> dict[int, dict[int, float]]:
    """Return the geometric mean over matrices, whose slope is the mean of theirs."""
    first = next(iter(sigma.values()))
    return {
        width: {
            seed: float(2 ** np.mean([math.log2(each[width][seed]) for each in sigma.values()]))
            for seed in by_seed
        }
        for width, by_seed in first.items()
    }


def _differs(one: Sigma, other: Sigma) -> bool:
    """Whether the seeds tell the width slopes of two matrices apart."""
    ratio = {
        width: {seed: math.log2(value / other[width][seed]) for seed, value in by_seed.items()}
        for width, by_seed in one.items()
    }
    interval = slope_over_seeds(ratio).interval
    return interval is not None and (interval[0] > _ROUNDING or interval[1] < -_ROUNDING)


def _value(estimate: Estimate) -> float:
    assert estimate.value is not None  # p is known of runs that have settled
    return estimate.value


def _log2_mean(by_seed: Mapping[int, float]) -> float:
    return float(np.mean(np.log2(list(by_seed.values()))))


def _slopes(residuals: Mapping[str, float]) -> str:
    low, high = min(residuals.values()), max(residuals.values())
    return f"{low:+z.2f} to {high:+z.2f} (root mean square {spread(residuals):.2g})"
