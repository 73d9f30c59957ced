"""From the run of a ladder to hyperparameters for a target of another batch size or length."""

from collections.abc import Sequence

from transfer.analysis import Prediction, fit_ladder, predict, reference_size
from transfer.analysis import reference_trials as of_reference
from transfer.analysis.ladder import Ladder
from transfer.analysis.rungs import rung_sizes
from transfer.config import Experiment
from transfer.run_directory import TrialResult
from transfer.sweeps.rungs import at_rung


def reference_experiment(experiment: Experiment, trials: Sequence[TrialResult]) -> Experiment:
    """Return the rung from which a ladder's hyperparameters are moved; without one, itself.

    Arguments:
      experiment: declares the sweep.
      trials: of its run.
    """
    if not (experiment.sweep.is_ladder and trials):
        return experiment
    size, sweep = reference_size(trials), experiment.sweep
    longer = sweep.batch_sizes or sweep.tokens
    return at_rung(
        experiment,
        layers=size.layers if sweep.layers else None,
        batch_size=size.batch_size if longer else None,
        tokens=size.tokens if longer else None,
    )


def predict_on_ladder(
    trials: Sequence[TrialResult],
    recipe: str,
    target_width: int | None,
    proxy_widths: Sequence[int],
) -> Prediction:
    """Return the prediction of a ladder's reference rung, with the exponents that it measured.

    Of a sweep that is no ladder, or one of depths alone, it is that of `predict`.

    Raises:
      TransferError: as `predict` and `fit_ladder` do.
    """
    prediction = predict(of_reference(trials), recipe, target_width, proxy_widths)
    if not _follows_batch_or_tokens(trials):
        return prediction
    ladder = fit_ladder(trials, recipe)
    return prediction.on_ladder(ladder.measured_horizon(), _notes(ladder))


def _follows_batch_or_tokens(trials: Sequence[TrialResult]) -> bool:
    """Whether one network was swept at several batch sizes or numbers of tokens."""
    sizes = rung_sizes(trials)
    return len({(size.width, size.layers) for size in sizes}) < len(sizes)


def _notes(ladder: Ladder) -> tuple[str, ...]:
    """What the ladder says of batch size and tokens, each without its full stop."""
    verdict = ladder.verdict
    notes = [f"the rung of {ladder.reference}, from which a ladder's hyperparameters are moved"]
    for name, by_axis in verdict.exponents.items():
        told = [
            f"{axis.replace('_', ' ')}^{found.text('z.2f')}"
            for axis, found in by_axis.items()
            if found.value is not None
        ]
        if told:
            notes.append(f"{name} ~ {' '.join(told)}, as the ladder measured")
    if verdict.has_knee:
        notes.append("above the best batch the learning rate no longer grows with the batch")
    for score in verdict.scores:
        if score.rule == "measured":
            notes.append(
                f"on the {score.edge.replace('_', ' ')} edge, left out, the exponents of the rest "
                f"cost {score.regret.text('.2%')} of the loss, {score.difference.text('+.2%')} "
                "less that of leaving the learning rate as it is"
            )
    if verdict.choice not in (None, "measured", "measured knee"):
        notes.append(f"the edges left out speak for another rule, {verdict.choice}")
    return (*notes, "betas and epsilon stay as they were in the ladder")
