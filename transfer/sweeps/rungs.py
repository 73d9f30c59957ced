"""The rungs of a ladder: one sweep over width at every depth, batch size and number of tokens."""

import dataclasses
import itertools
from fractions import Fraction

from transfer.config import Experiment
from transfer.errors import TransferError


def rungs(experiment: Experiment) -> list[Experiment]:
    """Return the experiment at every rung of its ladder, small ones first, each a plain sweep.

    An experiment without a ladder is its own only rung.

    Raises:
      TransferError: a number of tokens is no whole number of steps of a batch size, the run's
        length follows the number of parameters, the batch size or length of the base is declared,
        or the model has no layers to count.

    Example:
      >>> from transfer.config import read
      >>> sweep = {"batch_sizes": [8, 16], "tokens": [8192]}
      >>> [rung.training.steps for rung in rungs(read({"sweep": sweep}))]
      [16, 8]
    """
    sweep = experiment.sweep
    if not sweep.is_ladder:
        return [experiment]
    _require_own_sizes(experiment)
    sizes: list[tuple[int | None, ...]] = [
        tuple(sorted(values)) or (None,)
        for values in (sweep.layers, sweep.tokens, sweep.batch_sizes)
    ]
    return [
        at_rung(experiment, layers=layers, tokens=tokens, batch_size=batch_size)
        for layers, tokens, batch_size in itertools.product(*sizes)
    ]


def at_rung(
    experiment: Experiment,
    *,
    layers: int | None = None,
    batch_size: int | None = None,
    tokens: int | None = None,
) -> Experiment:
    """Return the experiment at one rung, where None is its own; warmup and decay keep their share.

    Raises `TransferError` for tokens that are no whole number of steps.

    Example:
      >>> from transfer.config import read
      >>> rung = at_rung(read({}), batch_size=32)  # 200 steps of 16 windows, 20 of them warmup
      >>> rung.data.batch_size, rung.training.steps, rung.training.warmup
      (32, 100, 10)
    """
    model, data, training = experiment.model, experiment.data, experiment.training
    if layers is not None:
        model = dataclasses.replace(model, layers=layers)  # type: ignore[arg-type]
    if batch_size is not None:
        data = dataclasses.replace(data, batch_size=batch_size)
    if batch_size is not None or tokens is not None:
        tokens = tokens or training.steps * experiment.data.tokens_per_step
        steps, over = divmod(tokens, data.tokens_per_step)
        if over or not steps:
            raise TransferError(
                f"The {tokens} tokens of a run are no whole number of steps in batches of "
                f"{data.batch_size}; expected a multiple of {data.tokens_per_step} in sweep.tokens "
                "or, without it, in the tokens of the configuration's own run."
            )
        longer = Fraction(steps, training.steps)
        training = dataclasses.replace(
            training,
            steps=steps,
            warmup=round(training.warmup * longer),
            decay_steps=round(training.decay_steps * longer),
        )
    sweep = dataclasses.replace(experiment.sweep, layers=(), batch_sizes=(), tokens=())
    return dataclasses.replace(experiment, model=model, data=data, training=training, sweep=sweep)


def rung_name(experiment: Experiment, rung: Experiment) -> str:
    """Say what tells a rung from others of its width; nothing without a ladder.

    Example:
      >>> from transfer.config import read
      >>> experiment = read({"sweep": {"batch_sizes": [8], "tokens": [8192]}})
      >>> rung_name(experiment, *rungs(experiment))
      'batch 8, 8192 tokens'
    """
    sweep, words = experiment.sweep, []
    if sweep.layers:
        words.append(f"{getattr(rung.model, 'layers', 1)} layers")
    if sweep.batch_sizes:
        words.append(f"batch {rung.data.batch_size}")
    if sweep.tokens:
        words.append(f"{rung.training.steps * rung.data.tokens_per_step} tokens")
    return ", ".join(words)


def _require_own_sizes(experiment: Experiment) -> None:
    """Raise `TransferError` where rungs would not be what they are listed as."""
    sweep = experiment.sweep
    if sweep.layers and not hasattr(experiment.model, "layers"):
        raise TransferError(
            f"sweep.layers is {sweep.layers}, but a {experiment.model.kind} has no number of "
            "layers; expected a transformer or cnn, or no sweep.layers."
        )
    if not (sweep.batch_sizes or sweep.tokens):
        return
    if experiment.training.tokens_per_parameter:
        raise TransferError(
            "The length of a run follows training.tokens_per_parameter, which a ladder of batch "
            "sizes or tokens would change; expected 0 there, and sweep.tokens."
        )
    for name in ("base_batch_size", "base_tokens"):
        if declared := getattr(experiment, name):
            raise TransferError(
                f"{name} is {declared}, by which a rule would move every rung of the ladder that "
                "is to measure it; expected 0."
            )
