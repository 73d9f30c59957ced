"""The rungs of a ladder, and the one at which its widths are judged."""

import dataclasses
import math
from collections.abc import Iterable, Sequence

from transfer.run_directory import TrialResult

AXES = ("width", "layers", "batch_size", "tokens")
"""The sizes of a run along which a ladder is swept."""


@dataclasses.dataclass(frozen=True, order=True)
class RungSize:
    """How large the runs of a rung are: `batch_size` in windows or images, `tokens` of a run.

    Example:
      >>> size = RungSize(width=32, layers=2, tokens=65536, batch_size=8)
      >>> size.log2("tokens"), str(size)
      (16.0, 'width 32, 2 layers, 65,536 tokens, batch 8')
    """

    width: int
    layers: int
    tokens: int
    batch_size: int

    @classmethod
    def of(cls, trial: TrialResult) -> "RungSize":
        """Return the size of a trial's run."""
        return cls(trial.width, trial.layers, trial.tokens, trial.batch_size)

    def log2(self, axis: str) -> float:
        """Return log2 of the size along one of `AXES`."""
        return math.log2(getattr(self, axis))

    def __str__(self) -> str:
        return (
            f"width {self.width}, {self.layers} layer{'s' * (self.layers > 1)}, {self.tokens:,} "
            f"tokens, batch {self.batch_size}"
        )


def rung_sizes(trials: Iterable[TrialResult]) -> list[RungSize]:
    """Return the sizes at which trials were swept, small ones first."""
    return sorted({RungSize.of(trial) for trial in _swept(trials)})


def is_ladder(trials: Iterable[TrialResult]) -> bool:
    """Whether a width was swept at several depths, batch sizes or numbers of tokens."""
    sizes = rung_sizes(trials)
    return len({size.width for size in sizes}) < len(sizes)


def reference_size(trials: Sequence[TrialResult]) -> RungSize:
    """Return the rung from which a ladder's hyperparameters are moved, at its widest width.

    It has the most layers and tokens that all widths have, and of the batch sizes there the one
    with the lowest loss: what one would train.
    """
    swept = _swept(trials)
    sizes = rung_sizes(swept)
    layers = _most_common(sizes, "layers")
    sizes = [size for size in sizes if size.layers == layers]
    tokens = _most_common(sizes, "tokens")
    widest = max(size.width for size in sizes)
    at_widest = [size for size in sizes if size.width == widest]
    if all(size.tokens != tokens for size in at_widest):
        tokens = max(size.tokens for size in at_widest)  # which follow the number of parameters
    candidates = [size for size in at_widest if size.tokens == tokens]
    lowest = {
        size: min(trial.objective_value for trial in swept if RungSize.of(trial) == size)
        for size in candidates
    }
    return min(candidates, key=lambda size: (lowest[size], size.batch_size))


def reference_trials(trials: Sequence[TrialResult]) -> list[TrialResult]:
    """Return the trials by which widths compare: of a ladder those of its reference rung.

    Predicted trials are all kept, and so are the trials of a run that is no ladder.

    Example:
      >>> sweeps = sweeps_by_recipe(reference_trials(run.trials()))  # doctest: +SKIP
    """
    if not is_ladder(trials):
        return list(trials)
    reference = reference_size(trials)

    def is_kept(trial: TrialResult) -> bool:
        same = (trial.layers, trial.batch_size) == (reference.layers, reference.batch_size)
        return trial.origin != "sweep" or (same and trial.tokens == tokens[trial.width])

    swept = [size for size in rung_sizes(trials) if size.layers == reference.layers]
    tokens = {
        width: reference.tokens
        if any((size.width, size.tokens) == (width, reference.tokens) for size in swept)
        else max((size.tokens for size in swept if size.width == width), default=0)
        for width in {size.width for size in rung_sizes(trials)}
    }
    return [trial for trial in trials if is_kept(trial)]


def _most_common(sizes: Sequence[RungSize], axis: str) -> int:
    """The largest size that all widths have, or else the largest of any."""
    by_width = [
        {getattr(size, axis) for size in sizes if size.width == width}
        for width in {size.width for size in sizes}
    ]
    return max(set.intersection(*by_width) or set.union(*by_width))


def _swept(trials: Iterable[TrialResult]) -> list[TrialResult]:
    # What is read off the trunk of another run, or was stopped, is no run of its own length.
    swept = [trial for trial in trials if trial.origin == "sweep" and not trial.trunk]
    return [trial for trial in swept if trial.status != "stopped"]
