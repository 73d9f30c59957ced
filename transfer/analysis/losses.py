"""The losses of one recipe at one width, by setting and seed."""

import dataclasses
from collections.abc import Callable, Collection, Iterable

import numpy as np

from transfer.errors import TransferError
from transfer.run_directory import TrialResult
from transfer.scaling.hyperparameters import NAMES, Hyperparameters


def setting_of(trial: TrialResult) -> Hyperparameters:
    """Return the hyperparameters of a trial."""
    return Hyperparameters(**{name: getattr(trial, name) for name in NAMES})


@dataclasses.dataclass(frozen=True, eq=False)
class LossTable:
    """Losses [setting, seed] by which the sweep compares, +inf where a trial diverged.

    Example:
      >>> table = LossTable.of(trials, "mup+sqrt", 64)  # doctest: +SKIP
      >>> table.settings[int(table.mean().argmin())]  # doctest: +SKIP
    """

    settings: tuple[Hyperparameters, ...]
    seeds: tuple[int, ...]
    losses: np.ndarray

    @classmethod
    def of(cls, trials: Iterable[TrialResult], recipe: str, width: int) -> "LossTable":
        """Collect the finished sweep trials of one recipe at one width.

        Only the seeds that every setting has are kept, so that settings compare like with like;
        failed trials say nothing about the loss and count as not run.

        Raises:
          TransferError: a setting and seed occurs twice, or trainings of unequal length are mixed.
        """
        chosen = [t for t in trials if t.recipe == recipe and t.width == width]
        return cls.of_trials([t for t in chosen if t.origin == "sweep"])

    @classmethod
    def of_trials(cls, trials: Iterable[TrialResult]) -> "LossTable":
        """Collect trials that share recipe and width, whatever their origin."""
        finished = [trial for trial in trials if trial.is_finished]
        _check_comparable(finished)
        loss = {(setting_of(t), t.seed): t.objective_value for t in finished}
        settings = sorted({setting for setting, _ in loss}, key=dataclasses.astuple)
        seeds = sorted(
            seed
            for seed in {seed for _, seed in loss}
            if all((setting, seed) in loss for setting in settings)
        )
        losses = np.array([[loss[setting, seed] for seed in seeds] for setting in settings])
        return cls(tuple(settings), tuple(seeds), losses.reshape(len(settings), len(seeds)))

    def mean(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the losses [setting] averaged over seeds with `weights` [seed] (default equal)."""
        if weights is None:
            weights = np.full(len(self.seeds), 1 / len(self.seeds))
        # A seed that was not drawn must not count, even when its loss is infinite.
        return np.asarray(np.where(weights > 0, self.losses, 0.0) @ weights)

    def where(self, keep: Callable[[Hyperparameters], bool]) -> "LossTable":
        """Return the part of the table whose settings satisfy `keep`."""
        rows = [row for row, setting in enumerate(self.settings) if keep(setting)]
        return LossTable(tuple(self.settings[row] for row in rows), self.seeds, self.losses[rows])

    def at_seeds(self, seeds: Collection[int]) -> "LossTable":
        """Return the part of the table with `seeds`, in increasing order."""
        columns = [column for column, seed in enumerate(self.seeds) if seed in seeds]
        kept = tuple(self.seeds[column] for column in columns)
        return LossTable(self.settings, kept, self.losses[:, columns])


def common_seeds(*tables: LossTable) -> tuple[int, ...]:
    """Return the seeds that all tables share, in increasing order."""
    return tuple(sorted(set.intersection(*(set(table.seeds) for table in tables))))


def _check_comparable(trials: list[TrialResult]) -> None:
    if len({trial.objective for trial in trials}) > 1:
        raise TransferError(
            f"Some trials of {trials[0].recipe} at width {trials[0].width} are compared by their "
            "training loss and some by that on held-out data; expected one sweep.objective, so "
            "keep each in a run directory of its own."
        )
    steps = sorted({trial.steps for trial in trials})
    if len(steps) > 1:
        raise TransferError(
            f"The trials of {trials[0].recipe} at width {trials[0].width} were trained for "
            f"different numbers of steps ({', '.join(map(str, steps))}); their losses do not "
            "compare, so keep each training length in a run directory of its own."
        )
    seen: set[tuple[Hyperparameters, int]] = set()
    for trial in trials:
        key = (setting_of(trial), trial.seed)
        if key in seen:
            raise TransferError(
                f"Two trials of {trial.recipe} at width {trial.width} share learning rate "
                f"{trial.learning_rate:g}, decay {trial.weight_decay:g} and seed {trial.seed} but "
                "differ in settings that are not tuned; keep them in separate run directories."
            )
        seen.add(key)
