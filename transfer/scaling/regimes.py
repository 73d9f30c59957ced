"""Which infinite-width limit a network trains in, from its abc-exponents alone.

Counted in powers of the width n after any fixed number of steps, for a network of L hidden layers:

    entries of dL/dW      ~ n^-g,       g = min(a' + b', 2a' + c') for SGD, ' for layer L + 1;
                                        g = 0 for the readout itself
    entries of delta W    ~ n^-step,    step = 2a + c + g    linear (SGD)
                                               a + c         entrywise (Adam)
                                               a + b + c     relative (an entry is as large as w)
                                               a + c + alpha hidden and spectral (operator norm)
    delta W . x           ~ n^-update,  update = step - alpha, or step in layer 1
    change of the output  ~ n^-change,  change = min(update, step + change_before - u,
                                                     a + b + change_before - omega)

since a sum over n terms is n times one of them where they are aligned and n^1/2 times one where
they are not: alpha, omega and u are these exponents (`Alignment`). For SGD `update` is the r_l of
Tensor Programs IV; `change` is the r_l that Everett et al. state for Adam.

Sources: arXiv 2011.14522 (Definition 3.2, Theorem 3.3, Proposition 5.3), 2308.01814 (Adam),
2407.05872 (the recursion).
"""

import dataclasses
from collections.abc import Mapping
from fractions import Fraction

from transfer.errors import TransferError, nearest
from transfer.scaling.abc_exponents import Exponents
from transfer.scaling.regime_report import Condition, RegimeReport, Violation

_HALF = Fraction(1, 2)
_STEP = {"linear": "2a + c", "entrywise": "a + c", "relative": "a + b + c", "spectral": "a + c"}


@dataclasses.dataclass(frozen=True)
class Alignment:
    """The powers of n by which a sum over n terms exceeds one of them.

    `alpha`: a weight's update times the features it acts on; `u`: the update times the change of
    these features; `omega`: the initial readout times the change of the last features. For initial
    hidden weights that power is always 1/2: their spectral norm is of order one, so no alignment
    can make more of it.
    """

    alpha: Fraction
    omega: Fraction
    u: Fraction


ALIGNMENTS: Mapping[str, Alignment] = {
    # The change of the last features holds a multiple of the initial readout, which sent it back.
    "tensor_programs": Alignment(alpha=Fraction(1), omega=Fraction(1), u=Fraction(1)),
    # Everett et al., arXiv 2407.05872: "full" and "no" alignment.
    "full": Alignment(alpha=Fraction(1), omega=_HALF, u=Fraction(1)),
    "none": Alignment(alpha=_HALF, omega=_HALF, u=_HALF),
}


def classify_regime(exponents: Exponents, alignment: str = "tensor_programs") -> RegimeReport:
    """Say whether training is stable at infinite width, and if so whether it learns features.

    Stable if and only if a_1 + b_1 = 0, a_l + b_l = 1/2 in hidden layers, a + b >= 1/2 in the
    readout, r >= 0, and in the readout step >= alpha and a + b + r >= omega; feature learning if r
    = 0, kernel regime if r > 0, trivial if both inequalities of the readout are strict.

    Arguments:
      exponents: those of the network, whose family says how large an optimizer's step is.
      alignment: `tensor_programs`, the limit after a fixed number of steps, or what Everett et al.
        call `full` and `none`.

    Raises `TransferError` for an unknown alignment.

    Example:
      >>> from transfer.scaling import Recipe
      >>> print(classify_regime(Exponents.of(Recipe("ntk"), "linear")))
      kernel (linear optimizers): r = 1/2
        layer 1: its update moves its output by n^-1/2
        layer 2: its update moves its output by n^-1/2
        readout: its update moves its output by n^0 (maximal)
        initial readout: moves the output by n^0 (maximal)

    Source: Yang & Hu, arXiv 2011.14522, Theorem 3.3 and section 3; Yang & Littwin, arXiv
    2308.01814; Everett et al., arXiv 2407.05872.
    """
    if alignment not in ALIGNMENTS:
        raise TransferError(
            f'The alignment "{alignment}" is unknown; expected one of {", ".join(ALIGNMENTS)}'
            f"{nearest(alignment, ALIGNMENTS)}."
        )
    aligned = ALIGNMENTS[alignment]
    steps = _steps(exponents, aligned.alpha)
    # The input layer sums over a constant number of features.
    updates = (steps[0], *[step - aligned.alpha for step in steps[1:]])
    inits = [layer.a + layer.b for layer in exponents.layers]
    r = min(updates[:-1])

    changes = [updates[0]]
    omegas = (*[_HALF] * (exponents.hidden_layers - 1), aligned.omega)
    for step, update, init, omega in zip(steps[1:], updates[1:], inits[1:], omegas, strict=True):
        before = changes[-1]
        changes.append(min(update, step + before - aligned.u, init + before - omega))

    return RegimeReport(
        exponents=exponents,
        updates=updates,
        changes=tuple(changes),
        readout_init=inits[-1] + r - aligned.omega,
        violations=tuple(_violations(exponents, updates, aligned)),
    )


def _steps(exponents: Exponents, alpha: Fraction) -> tuple[Fraction, ...]:
    """By which power of 1/n the entries of each layer's effective update fall."""
    layers, family = exponents.layers, exponents.family
    if family == "linear":
        # The signal sent back passes the readout as it was drawn and as it was updated.
        readout = layers[-1]
        sent_back = min(readout.a + readout.b, 2 * readout.a + readout.c)
        gradients = (*[sent_back] * exponents.hidden_layers, Fraction(0))
        return tuple(
            2 * layer.a + layer.c + gradient
            for layer, gradient in zip(layers, gradients, strict=True)
        )
    steps = [layer.a + layer.c for layer in layers]
    if family == "relative":
        steps = [step + layer.b for step, layer in zip(steps, layers, strict=True)]
    if family == "spectral":
        # An operator norm of n^-(a + c) moves any input by that much, aligned or not.
        steps[1:-1] = [step + alpha for step in steps[1:-1]]
    return tuple(steps)


def _violations(
    exponents: Exponents, updates: tuple[Fraction, ...], aligned: Alignment
) -> list[Violation]:
    last = len(exponents.layers)
    *inits, readout_init = (layer.a + layer.b for layer in exponents.layers)
    r = min(updates[:-1])
    step = _STEP[exponents.family]
    found = []
    if inits[0] != 0:
        found.append(_broken(Condition.INPUT_INIT, 1, "a + b", inits[0], "0"))
    for layer, init in enumerate(inits[1:], start=2):
        if init != _HALF:
            found.append(_broken(Condition.HIDDEN_INIT, layer, "a + b", init, "1/2"))
    if readout_init < _HALF:
        found.append(_broken(Condition.OUTPUT_INIT, last, "a + b", readout_init, ">= 1/2"))
    if r < 0:
        found.append(_broken(Condition.FEATURES, updates.index(r) + 1, "r", r, ">= 0"))
    if updates[-1] < 0:
        alpha = aligned.alpha
        found.append(
            _broken(Condition.READOUT_UPDATE, last, step, updates[-1] + alpha, f">= {alpha}")
        )
    if readout_init + r < aligned.omega:
        moved, bound = readout_init + r, f">= {aligned.omega}"
        found.append(_broken(Condition.FEATURE_CHANGE, last, "a + b + r", moved, bound))
    return found


def _broken(
    condition: Condition, layer: int, quantity: str, value: Fraction, expected: str
) -> Violation:
    return Violation(condition, layer, f"{quantity} = {value}, expected {expected}")
