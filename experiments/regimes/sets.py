"""Random exponents on a lattice of 1/4, accepted by what the classifier says of them.

On the lattice r is a multiple of 1/4, so that it is 0 or at least 1/4 away from it.
"""

import dataclasses
import random
from collections.abc import Callable, Iterator
from fractions import Fraction

from transfer.scaling import Condition, Exponents, Family, Regime, RegimeReport, classify_regime

HIDDEN_LAYERS = 3
_HALF = Fraction(1, 2)


def stable(family: Family, each: int, seed: int) -> list[RegimeReport]:
    """`each` networks that learn features and as many in the kernel regime."""
    return [
        verdict
        for regime in (Regime.FEATURE_LEARNING, Regime.KERNEL)
        for verdict in _drawn(family, each, f"{seed} {regime}", _stable_inits, _is(regime))
    ]


def unstable(family: Family, each: int, seed: int) -> list[RegimeReport]:
    """`each` networks that fail one condition alone, for every condition."""
    return [
        verdict
        for condition in Condition
        for verdict in _drawn(family, each, f"{seed} {condition}", _any_inits, _fails(condition))
    ]


def sent_back(count: int, seed: int) -> list[RegimeReport]:
    """SGD networks whose features blow up by what the updated readout sends back, and no sooner."""

    def wanted(verdict: RegimeReport) -> bool:
        return _fails(Condition.FEATURES)(verdict) and _lead(verdict) > 0

    return _drawn("linear", count, f"{seed} sent back", _stable_inits, wanted)


def isolated(verdict: RegimeReport) -> list[RegimeReport]:
    """The same network with its weaker terms a power of n smaller.

    In the first, updates of features that are not the largest; in the second also the weaker of
    the two signals that SGD's readout sends back, by its initial value and by its update.
    """
    *features, readout = verdict.exponents.layers
    layers = [
        layer if update == verdict.r else dataclasses.replace(layer, c=layer.c + 1)
        for layer, update in zip(features, verdict.updates[:-1], strict=True)
    ]
    lead = _lead(verdict)
    alone = dataclasses.replace(readout, b=readout.b + (lead > 0), c=readout.c + (lead < 0))
    family = verdict.exponents.family
    return [
        classify_regime(Exponents((*layers, last), family))
        for last in ((readout, alone) if family == "linear" else (readout,))
    ]


def _lead(verdict: RegimeReport) -> Fraction:
    """By which power of n the updated readout sends back more than the initial one."""
    readout = verdict.exponents.layers[-1]
    return (readout.a + readout.b) - (2 * readout.a + readout.c)


def _is(regime: Regime) -> Callable[[RegimeReport], bool]:
    return lambda verdict: verdict.regime == regime


def _fails(condition: Condition) -> Callable[[RegimeReport], bool]:
    return lambda verdict: [violation.condition for violation in verdict.violations] == [condition]


def _drawn(
    family: Family,
    count: int,
    seed: str,
    inits: Callable[[random.Random], list[Fraction]],
    wanted: Callable[[RegimeReport], bool],
) -> list[RegimeReport]:
    found: dict[str, RegimeReport] = {}
    for exponents in _networks(family, random.Random(seed), inits):
        verdict = classify_regime(exponents)
        if wanted(verdict):
            found.setdefault(str(exponents), verdict)
        if len(found) == count:
            break
    return list(found.values())


def _networks(
    family: Family, rng: random.Random, inits: Callable[[random.Random], list[Fraction]]
) -> Iterator[Exponents]:
    """Multipliers within n^(+-1/2) and learning rates from n^(3/2) to n^(-2)."""
    while True:
        layers = []
        for init in inits(rng):
            a = _quarter(rng, -2, 2)
            layers.append(f"{a} {init - a} {_quarter(rng, -6, 8)}")
        yield Exponents.parse(" | ".join(layers), family)


def _stable_inits(rng: random.Random) -> list[Fraction]:
    """a + b by layer, the readout's from 1/2 to 3/2."""
    return [Fraction(0), *[_HALF] * (HIDDEN_LAYERS - 1), _quarter(rng, 2, 6)]


def _any_inits(rng: random.Random) -> list[Fraction]:
    """At most one layer's init is off by a quarter or a half."""
    inits = _stable_inits(rng)
    inits[rng.randrange(len(inits))] += _quarter(rng, -2, 2)
    return inits


def _quarter(rng: random.Random, low: int, high: int) -> Fraction:
    return Fraction(rng.randint(low, high), 4)
