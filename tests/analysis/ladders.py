"""Ladders with known optima, as lists of trials."""

import itertools
import math
from collections.abc import Callable, Sequence

RATES = tuple(range(-9, 0))
BATCHES = (4, 8, 16, 32, 64)
TOKENS = (2**14, 2**15, 2**16, 2**17)
# The middle of a ladder, around which its optima are given.
MIDDLE = {"width": 5.5, "batch_size": 4.0, "tokens": 15.5}


def power(**exponents: float) -> Callable[..., float]:
    """An optimum that follows sizes to powers: 2^-5 in the middle."""

    def at(**logs: float) -> float:
        return -5.0 + sum(exponents.get(name, 0.0) * (logs[name] - MIDDLE[name]) for name in logs)

    return at


def ladder(
    make,
    rate: Callable[..., float],
    *,
    decay: Callable[..., float] | None = None,
    best_batch: Callable[..., float] = lambda tokens: 4.2 + 0.5 * (tokens - MIDDLE["tokens"]),
    widths: Sequence[int] = (32, 64),
    batches: Sequence[int] = BATCHES,
    tokens: Sequence[int] = TOKENS,
    seeds: int = 2,
):
    """Trials of every rung, with log2 of the best learning rate, decay and batch as functions.

    The loss has a bowl of 0.05 per squared octave of learning rate, 0.02 of decay and 0.01 of
    batch size about the best batch, and is lower for wider networks and longer runs.
    """
    trials = []
    for width, batch, length in itertools.product(widths, batches, tokens):
        logs = {
            "width": math.log2(width),
            "batch_size": math.log2(batch),
            "tokens": math.log2(length),
        }
        best, lowest = best_batch(tokens=logs["tokens"]), rate(**logs)
        best_decay = decay(**logs) if decay else -3.0

        def loss(width, x, z, logs=logs, best=best, lowest=lowest, best_decay=best_decay):
            level = 4.0 - 0.1 * logs["width"] - 0.08 * logs["tokens"]
            return (
                level
                + 0.01 * (logs["batch_size"] - best) ** 2
                + 0.05 * (x - lowest) ** 2
                + 0.02 * (z - best_decay) ** 2
            )

        trials += make(
            loss,
            [width],
            RATES,
            seeds,
            log2_decays=(-5.0, -3.0, -1.0) if decay else (-3.0,),
            batch_size=batch,
            tokens=length,
            steps=length // batch,
        )
    return trials
