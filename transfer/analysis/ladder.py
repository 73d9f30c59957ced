"""What a ladder says: exponents, best batches, and which rule moves hyperparameters along it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from transfer.analysis.best_batch import BestBatch, Rung, best_batches
from transfer.analysis.estimate import Estimate
from transfer.analysis.ladder_law import LadderLaw, LadderLaws, fit_laws
from transfer.analysis.ladder_rules import RuleScore, axes_of, choose_rule, score_rules
from transfer.analysis.optimum import fit_together
from transfer.analysis.rungs import RungSize, reference_size, rung_sizes
from transfer.errors import TransferError
from transfer.run_directory import TrialResult
from transfer.scaling import MeasuredHorizon


@dataclasses.dataclass(frozen=True, eq=False)
class Ladder:
    """A recipe's optima at every rung of a ladder, and the laws through them.

    Fields:
      recipe: by name.
      rungs: small ones first.
      laws: of learning rate, decay and best batch.
      reference: the rung from which hyperparameters are moved.
    """

    recipe: str
    rungs: tuple[Rung, ...]
    laws: LadderLaws
    reference: RungSize

    @property
    def verdict(self) -> "LadderVerdict":
        """What it says, as numbers; scoring the rules takes some seconds."""
        laws = self.laws
        quantities: dict[str, LadderLaw | None] = {
            "learning rate": laws.chosen,
            "decay": laws.decay,
        }
        exponents = {
            name: {axis: law.exponent(axis) for axis in axes_of(self.rungs)}
            for name, law in quantities.items()
            if law is not None
        }
        if laws.best is not None:
            lengths = [axis for axis in axes_of(self.rungs) if axis != "batch_size"]
            exponents["best batch"] = {axis: laws.best.exponent(axis) for axis in lengths}
        known = sum(rung.is_known for rung in self.rungs)
        return LadderVerdict(
            recipe=self.recipe,
            reference=self.reference,
            rungs=len(self.rungs),
            known=known,
            exponents=exponents,
            has_knee=laws.has_knee,
            best_batches=tuple((each.size, each.log2) for each in best_batches(self.rungs)),
            scores=score_rules(self.rungs),
            choice=choose_rule(self.rungs),
        )

    @property
    def best_batches(self) -> list[BestBatch]:
        """The best batch of every width, depth and number of tokens."""
        return best_batches(self.rungs)

    def measured_horizon(self) -> MeasuredHorizon:
        """Return what the ladder measured of batch size and tokens, for a recipe."""
        laws, reference = self.laws, self.reference
        rate, decay, best = laws.chosen, laws.decay, laws.best
        known = [rung.size for rung in self.rungs if rung.is_known]
        empty = MeasuredHorizon(batch_size=reference.batch_size, tokens=reference.tokens)
        if best is not None:
            empty = dataclasses.replace(
                empty,
                best_batch=2.0 ** best.log2_at(reference),
                best_tokens=best.exponent("tokens").value or 0.0,
            )
        covered = [size.batch_size / empty.best(size.tokens) for size in known]
        return dataclasses.replace(
            empty,
            rate_batch=rate.value("batch_size"),
            rate_tokens=rate.value("tokens"),
            decay_batch=decay.value("batch_size") if decay else 0.0,
            decay_tokens=decay.value("tokens") if decay else 0.0,
            knee=laws.has_knee,
            least=min(covered),
            most=max(covered),
            lengths=len({size.tokens for size in known}) if "tokens" in rate.axes else 1,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LadderVerdict:
    """What a ladder says, as plain numbers.

    Fields:
      recipe: by name.
      reference: the rung from which hyperparameters are moved.
      rungs, known: how many there are, and with a known best learning rate.
      exponents: by quantity (`learning rate`, `decay`, `best batch`) and axis.
      has_knee: whether the learning rate follows batch size no further than the best batch.
      best_batches: log2 of the best batch, by the size of the run that comes nearest.
      scores: of the rules, on edges that were left out.
      choice: the rule that the left-out edges speak for.
    """

    recipe: str
    reference: RungSize
    rungs: int
    known: int
    exponents: Mapping[str, Mapping[str, Estimate]]
    has_knee: bool
    best_batches: tuple[tuple[RungSize, Estimate], ...]
    scores: tuple[RuleScore, ...]
    choice: str | None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, read back by `from_json`."""
        return {
            "recipe": self.recipe,
            "reference": dataclasses.asdict(self.reference),
            "rungs": self.rungs,
            "known": self.known,
            "exponents": {
                name: {axis: found.to_json() for axis, found in by_axis.items()}
                for name, by_axis in self.exponents.items()
            },
            "has_knee": self.has_knee,
            "best_batches": [
                {"size": dataclasses.asdict(size), "log2": log2.to_json()}
                for size, log2 in self.best_batches
            ],
            "scores": [score.to_json() for score in self.scores],
            "choice": self.choice,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "LadderVerdict":
        """Read what `to_json` wrote."""
        return cls(
            recipe=content["recipe"],
            reference=RungSize(**content["reference"]),
            rungs=content["rungs"],
            known=content["known"],
            exponents={
                name: {axis: Estimate.from_json(each) for axis, each in by_axis.items()}
                for name, by_axis in content["exponents"].items()
            },
            has_knee=content["has_knee"],
            best_batches=tuple(
                (RungSize(**each["size"]), Estimate.from_json(each["log2"]))
                for each in content["best_batches"]
            ),
            scores=tuple(map(RuleScore.from_json, content["scores"])),
            choice=content["choice"],
        )


def fit_ladder(trials: Sequence[TrialResult], recipe: str) -> Ladder:
    """Return the optima of a recipe at every rung, fitted together, and the laws through them.

    Only sweep trials are read.

    Raises:
      TransferError: fewer than three rungs have a best learning rate between others, or losses do
        not compare.

    Example:
      >>> ladder = fit_ladder(run.trials(), "mup+sqrt")  # doctest: +SKIP
      >>> ladder.laws.chosen.exponent("batch_size").text(".2f")  # doctest: +SKIP
      '0.41 [0.33, 0.49]'
    """
    mine = [t for t in trials if t.origin == "sweep" and t.recipe == recipe and not t.trunk]
    mine = [trial for trial in mine if trial.status != "failed"]
    by_size = {
        size: [trial for trial in mine if RungSize.of(trial) == size] for size in rung_sizes(mine)
    }
    sweeps = fit_together([(part, size.width) for size, part in by_size.items()], recipe)
    rungs = tuple(Rung(size, sweep) for size, sweep in zip(by_size, sweeps, strict=True))
    laws = fit_laws(rungs)
    if laws is None:
        unknown = next(rung for rung in rungs if not rung.is_known) if rungs else None
        reason = unknown.sweep.optimum.log2_learning_rate.reason if unknown else "there are none"
        raise TransferError(
            f"Fewer than three rungs of {recipe} have a known best learning rate ({reason}, at "
            f"{unknown.size if unknown else 'no size'}); expected a wider range of learning rates, "
            "or a ladder of more sizes."
        )
    return Ladder(recipe, rungs, laws, reference_size(trials))
