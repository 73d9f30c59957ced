"""The sweep's answer: `verdict.json`."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from transfer.analysis.advice import Advice, advise
from transfer.analysis.compute import ComputeSpent, compute_spent
from transfer.analysis.optimum import WidthSweep, sweeps_by_recipe
from transfer.analysis.recipe_verdict import RecipeVerdict, judge_recipe
from transfer.errors import TransferError
from transfer.run_directory import OBJECTIVES, TrialResult


@dataclasses.dataclass(frozen=True)
class Objective:
    """The loss by which trials compare, in words, and its unit.

    Example:
      >>> str(Objective("held-out loss", "nats"))
      'held-out loss (nats)'
    """

    name: str
    unit: str

    def __str__(self) -> str:
        return f"{self.name} ({self.unit})"


@dataclasses.dataclass(frozen=True)
class SweepVerdict:
    """What a sweep says of every recipe, by name in alphabetical order.

    `advice` says what to train a wider target with, by the recipe that serves it best first; it is
    empty in files of earlier versions.

    Example:
      >>> verdict = SweepVerdict.from_json(run.read_json("report/verdict.json"))  # doctest: +SKIP
      >>> verdict.recipes["mup+sqrt"].answer.transfers  # doctest: +SKIP
      'true'
    """

    advice: tuple[Advice, ...]
    recipes: Mapping[str, RecipeVerdict]
    objective: Objective
    compute: ComputeSpent
    task: str
    provenance: Mapping[str, Any]

    @property
    def tentative(self) -> str | None:
        """Why what it says is tentative, by the recipe with the fewest data; None where it is not.

        Example:
          >>> verdict.tentative  # doctest: +SKIP
          '2 seeds, 2 widths'
        """
        bases = [judged.axes[0].basis for judged in self.recipes.values()]
        fewest = min(bases, key=lambda basis: (basis.seeds, basis.widths), default=None)
        return fewest.tentative if fewest else None

    @property
    def at_base(self) -> str:
        """Where learning rates and decays are meant as they stand, for the titles of axes.

        Empty for a table of results from elsewhere, which does not tell it.
        """
        known = [each.prediction.base_width for each in self.advice if each.prediction]
        return "" if known and not all(known) else " at the base width"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, read back by `from_json`. What is unknown is null; nothing is NaN."""
        return {
            "advice": [each.to_json() for each in self.advice],
            "recipes": {name: verdict.to_json() for name, verdict in self.recipes.items()},
            "objective": dataclasses.asdict(self.objective),
            "compute": self.compute.to_json(),
            "task": self.task,
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "SweepVerdict":
        """Read what `to_json` wrote, or an earlier version.

        Raises:
          TransferError: something is missing, unknown or of another kind.
        """
        try:
            return cls(
                advice=tuple(map(Advice.from_json, content.get("advice", ()))),
                recipes={
                    name: RecipeVerdict.from_json(name, verdict)
                    for name, verdict in content["recipes"].items()
                },
                objective=Objective(**content["objective"]),
                compute=ComputeSpent.from_json(content["compute"]),
                task=content["task"],
                provenance=content["provenance"],
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            wrong = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise TransferError(
                f"This is not the verdict of a sweep ({wrong}); write it anew with `transfer "
                "report`."
            ) from error


def judge(
    trials: Sequence[TrialResult],
    spectrum: pa.Table,
    *,
    task: str,
    provenance: Mapping[str, Any],
    sweeps: Mapping[str, Sequence[WidthSweep]] | None = None,
    target: int | None = None,
) -> SweepVerdict:
    """Return the verdict on every recipe of a run, and what to train a target with.

    For every hyperparameter that was swept: its best value at each width, its slope over width, and
    the regret of moving it to each larger width from the next narrower one; the width slope of the
    top singular values and whether they are invariant; and whether it transfers, in a word and in a
    sentence.

    Args:
      trials: all trials of the run.
      spectrum: singular values, `SPECTRUM_SCHEMA`, maybe empty.
      task: what was trained, in a sentence.
      provenance: what it was made with.
      sweeps: what `sweeps_by_recipe` returned of these trials, where it is known already.
      target: the width that the sweep is made for; by default 8 times the widest one.

    Raises:
      TransferError: there are no sweep trials, or some do not compare.

    Example:
      >>> verdict = judge(trials, spectrum, task="code", provenance={})  # doctest: +SKIP
      >>> verdict.recipes["mup+sqrt"].answer.transfers  # doctest: +SKIP
      'true'
    """
    if sweeps is None:
        sweeps = sweeps_by_recipe(trials)
    recipes = {
        recipe: judge_recipe(trials, spectrum, recipe, swept) for recipe, swept in sweeps.items()
    }
    return SweepVerdict(
        advice=advise(trials, recipes, sweeps, target),
        recipes=recipes,
        objective=Objective(OBJECTIVES[trials[0].objective], "nats"),
        compute=compute_spent(trials, target),
        task=task,
        provenance=provenance,
    )
