"""Simulated sweeps with a known law: what a forecast's interval is measured on.

They were fixed before the interval was chosen. Sizes are the parameter counts of a decoder of two
layers; a width's loss is the law's, times 1 plus noise.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from transfer.analysis import SizeLoss

WIDTHS = (16, 24, 32, 48, 64, 96, 128, 192)


def size(width: float) -> float:
    """Parameters of a decoder of 2 layers on bytes."""
    return 24 * width**2 + 512 * width


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One kind of truth.

    Fields:
      loss: by size.
      seeds: runs at each width.
      noise: standard deviation of a run's loss over seeds, relative to it.
      shared: the share of that variance that is common to a seed at all widths.
      misfit: standard deviation of what all seeds of a width have in common, such as the error of
        its best learning rate.
      in_family: whether the law is E + A x^-a.
    """

    name: str
    loss: Callable[[float], float]
    seeds: int = 3
    noise: float = 0.004
    shared: float = 0.0
    misfit: float = 0.0
    in_family: bool = True


def _text(x: float) -> float:
    return 1.5 + 30 * x**-0.35


SCENARIOS = (
    Scenario("text, 3 seeds", _text),
    Scenario("text, 3 seeds, noise 1 %", _text, noise=0.01),
    Scenario("text, 5 seeds", _text, seeds=5),
    Scenario("text, 1 seed", _text, seeds=1),
    Scenario("noise shared by half", _text, shared=0.5),
    Scenario("noise shared by 9 tenths", _text, shared=0.9),
    Scenario("optima off by 0.2 %", _text, misfit=0.002),
    Scenario("optima off by 0.5 %", _text, misfit=0.005),
    Scenario("no floor", lambda x: 10 * x**-0.15),
    Scenario("near its floor", lambda x: 1.8 + 60 * x**-0.6),
    Scenario("nearly a logarithm", lambda x: 6 * x**-0.05),
    Scenario("two powers", lambda x: 1.3 + 6 * x**-0.2 + 2000 * x**-0.9, in_family=False),
    Scenario("a shifted power", lambda x: 1.5 + 30 * (x + 2e4) ** -0.35, in_family=False),
    Scenario("a bend", lambda x: 1.5 + 30 * x**-0.35 * (1 + x / 3e5) ** 0.1, in_family=False),
)


@dataclasses.dataclass(frozen=True)
class Draw:
    """Points of the proxies, and what came at the target: the mean over seeds, and one run."""

    points: tuple[SizeLoss, ...]
    target: float
    truth: float
    mean: float
    single: float


def draw(scenario: Scenario, widths: int, reach: float, generator: np.random.Generator) -> Draw:
    """Draw a sweep of so many widths, and a target `reach` times as wide as the widest."""
    proxies = WIDTHS[:widths]
    sizes = [size(width) for width in (*proxies, reach * proxies[-1])]
    shape = (len(sizes), scenario.seeds)
    common = generator.standard_normal(scenario.seeds) * np.sqrt(scenario.shared)
    own = generator.standard_normal(shape) * np.sqrt(1 - scenario.shared)
    of_width = generator.standard_normal((len(sizes), 1)) * scenario.misfit
    truths = np.array([scenario.loss(x) for x in sizes])
    losses = truths[:, None] * (1 + scenario.noise * (common + own) + of_width)
    points = tuple(
        SizeLoss(
            x,
            float(runs.mean()),
            scenario.seeds,
            float(runs.var(ddof=1) / runs.mean() ** 2) if scenario.seeds > 1 else None,
        )
        for x, runs in zip(sizes[:-1], losses[:-1], strict=True)
    )
    return Draw(points, sizes[-1], truths[-1], float(losses[-1].mean()), float(losses[-1, 0]))
