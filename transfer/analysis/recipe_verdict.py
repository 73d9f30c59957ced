"""What a sweep says of one recipe."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from transfer.analysis.axis import AxisVerdict, judge_axes
from transfer.analysis.basis import Basis
from transfer.analysis.estimate import Estimate, interval_from_json
from transfer.analysis.invariance import Invariance, judge_invariance
from transfer.analysis.optimum import Optimum, WidthSweep
from transfer.analysis.regret import Regret, find_regret
from transfer.analysis.slope import optimum_slope
from transfer.analysis.spectrum import SpectrumSlope, spectrum_slopes
from transfer.analysis.transfer_numbers import TransferNumbers, transfer_numbers
from transfer.analysis.transferability import Transferability, judge_transfer
from transfer.notation import ANSWERS, hyperparameter
from transfer.run_directory import TrialResult
from transfer.scaling.hyperparameters import Hyperparameters


@dataclasses.dataclass(frozen=True)
class SublayerVerdict:
    """How the top singular value of one sublayer moves with width, and whether it is invariant."""

    spectrum: SpectrumSlope
    invariance: Invariance

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return self.spectrum.to_json() | self.invariance.to_json()

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "SublayerVerdict":
        """Read what `to_json` wrote."""
        return cls(SpectrumSlope.from_json(content), Invariance.from_json(content))


@dataclasses.dataclass(frozen=True)
class RecipeVerdict:
    """What a sweep says of one recipe.

    Fields:
      recipe: its name.
      optima: by increasing width.
      axes: the verdict on every hyperparameter that was swept, the learning rate first.
      regrets: of transferring all hyperparameters to each larger width from the next narrower one;
        those of a trained target are measured.
      sublayers: by name, empty without singular values at two widths.
      numbers: how well the learning rate transfers; None in files of earlier versions.
    """

    recipe: str
    optima: tuple[Optimum, ...]
    axes: tuple[AxisVerdict, ...]
    regrets: tuple[Regret, ...]
    sublayers: Mapping[str, SublayerVerdict]
    numbers: TransferNumbers | None

    @property
    def slope(self) -> Estimate:
        """The slope of the best learning rate's log2 over log2 width."""
        return self.axes[0].slope

    @property
    def answer(self) -> Transferability:
        """Whether the learning rate transfers; `axes` has the others."""
        return self.axes[0].answer

    @property
    def tentative(self) -> str | None:
        """Why the answer on the learning rate is tentative: "2 seeds, 2 widths"; or None."""
        return self.axes[0].basis.tentative

    def proxy(self, width: int) -> Optimum:
        """Return the optimum that is transferred to a width: that of the next narrower one.

        Where no width is narrower there is nothing to transfer, and the narrowest stands for
        itself.
        """
        return self.optima[next_narrower([optimum.width for optimum in self.optima], width)]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON; its first three keys are there to be read, and are in `axes` too."""
        return {
            "transfers": self.answer.transfers,
            "reason": self.answer.reason,
            "tentative": self.tentative,
            "axes": [axis.to_json() for axis in self.axes],
            "regret": {str(regret.width): regret.to_json() for regret in self.regrets},
            "optimum_log2_learning_rate": {
                str(optimum.width): optimum.log2_learning_rate.to_json() for optimum in self.optima
            },
            "optimum_log2_weight_decay": {
                str(optimum.width): optimum.log2_weight_decay.to_json()
                for optimum in self.optima
                if optimum.log2_weight_decay is not None
            },
            "best": {str(each.width): dataclasses.asdict(each.best) for each in self.optima},
            "best_loss": {str(optimum.width): optimum.best_loss for optimum in self.optima},
            "seeds": {str(optimum.width): optimum.seeds for optimum in self.optima},
            "notes": {str(each.width): each.note for each in self.optima if each.note is not None},
            "spectrum_slope": {name: each.to_json() for name, each in self.sublayers.items()},
            "numbers": self.numbers.to_json() if self.numbers else None,
        }

    @classmethod
    def from_json(cls, recipe: str, content: Mapping[str, Any]) -> "RecipeVerdict":
        """Read what `to_json` wrote, or a version before there were `axes`."""
        decays = content["optimum_log2_weight_decay"]
        optima = tuple(
            Optimum(
                recipe=recipe,
                width=int(width),
                log2_learning_rate=Estimate.from_json(rate),
                log2_weight_decay=Estimate.from_json(decays[width]) if width in decays else None,
                best=Hyperparameters(**content["best"][width]),
                best_loss=content["best_loss"][width],
                seeds=content["seeds"][width],
                note=content["notes"].get(width),
            )
            for width, rate in content["optimum_log2_learning_rate"].items()
        )
        numbers = content.get("numbers")
        regrets = content["regret"] if "regret" in content else content["zero_shot"]
        return cls(
            recipe=recipe,
            optima=optima,
            axes=(
                tuple(map(AxisVerdict.from_json, content["axes"]))
                if "axes" in content
                else (_of_an_earlier_version(optima, content),)
            ),
            regrets=tuple(map(Regret.from_json, regrets.values())),
            sublayers={
                name: SublayerVerdict.from_json(each)
                for name, each in content["spectrum_slope"].items()
            },
            numbers=TransferNumbers.from_json(numbers) if numbers else None,
        )


def judge_recipe(
    trials: Sequence[TrialResult], spectrum: pa.Table, recipe: str, sweeps: Sequence[WidthSweep]
) -> RecipeVerdict:
    """Return the verdict on one recipe of a run.

    Arguments:
      trials: of the run, also those of other recipes.
      spectrum: singular values, `SPECTRUM_SCHEMA`, maybe empty.
      recipe: its name.
      sweeps: its sweep at every width, narrow ones first.

    Raises:
      TransferError: losses of some trials do not compare.
    """
    mine = [trial for trial in trials if trial.recipe == recipe and trial.is_finished]
    optima = [sweep.optimum for sweep in sweeps]
    swept = [optimum.width for optimum in optima]
    by_width = {sweep.optimum.width: sweep for sweep in sweeps}
    regrets = tuple(
        find_regret(mine, recipe, width, sweeps[next_narrower(swept, width)], by_width.get(width))
        for width in sorted({trial.width for trial in mine})
        if width > swept[0]
    )
    proxy = optima[next_narrower(swept, max(trial.width for trial in mine))]
    slopes = spectrum_slopes(mine, spectrum, recipe, proxy.nearest_log2_learning_rate)
    return RecipeVerdict(
        recipe=recipe,
        optima=tuple(optima),
        axes=_axes(mine, recipe, sweeps, regrets),
        regrets=regrets,
        sublayers={
            name: SublayerVerdict(found, judge_invariance(found, recipe))
            for name, found in slopes.items()
        },
        numbers=transfer_numbers(sweeps),
    )


def told(axis: AxisVerdict) -> str:
    """Return the answer on one hyperparameter in a sentence that names it.

    Example:
      >>> told(verdict.recipes["mup+sqrt"].axes[1])  # doctest: +SKIP
      "decay transfers: the best decay's slope over width is +0.02 [-0.10, +0.15] and ..."
    """
    reason = axis.answer.reason
    for opening in ("It transfers: ", "It does not transfer: ", "It cannot be told: "):
        reason = reason.removeprefix(opening)
    return f"{hyperparameter(axis.axis)} {ANSWERS[axis.answer.transfers]}: {reason}"


def next_narrower(widths: Sequence[int], width: int) -> int:
    """Return the place of the widest of increasing `widths` below `width`, or else the first."""
    return max(sum(each < width for each in widths) - 1, 0)


def _axes(
    trials: Sequence[TrialResult],
    recipe: str,
    sweeps: Sequence[WidthSweep],
    regrets: Sequence[Regret],
) -> tuple[AxisVerdict, ...]:
    """Judge every hyperparameter that was swept, and the learning rate in any case.

    The answer on the learning rate is that of `judge_transfer` wherever a target was trained, or
    training diverges at a transferred setting, because what was measured outweighs a fit.
    """
    found = {axis.axis: axis for axis in judge_axes(trials, recipe, sweeps)}
    first = found.pop("learning_rate", None)
    optima = [sweep.optimum for sweep in sweeps]
    slope = optimum_slope(sweeps)
    measured = judge_transfer(optima, slope, regrets)
    if first is None:  # of one value
        first = AxisVerdict(
            axis="learning_rate",
            optima={each.width: each.log2_learning_rate for each in optima},
            slope=slope,
            regrets=(),
            basis=Basis(seeds=min(each.seeds for each in optima), widths=0, values=1),
            answer=measured,
        )
    elif any(regret.source == "trained" or regret.diverged for regret in regrets):
        first = dataclasses.replace(first, answer=measured)
    return (first, *found.values())


def _of_an_earlier_version(optima: Sequence[Optimum], content: Mapping[str, Any]) -> AxisVerdict:
    """Return what files without `axes` say of the learning rate, the only one they judge."""
    interval, reason = interval_from_json(content["slope_interval"]), content["slope_reason"]
    return AxisVerdict(
        axis="learning_rate",
        optima={each.width: each.log2_learning_rate for each in optima},
        slope=Estimate(content["slope"], interval, reason),
        regrets=(),
        basis=Basis(
            seeds=min(each.seeds for each in optima),
            widths=sum(each.log2_learning_rate.value is not None for each in optima),
            values=0,  # which these files do not tell
        ),
        answer=Transferability(content["transfers"], content["reason"]),
    )
