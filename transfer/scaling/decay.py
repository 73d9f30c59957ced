"""How the weight decay of hidden matrices follows width.

Rules are stated for the effective weight W = A * w, whose step per update is E (relative to the
base width) and which loses the fraction lr * decay per step. Under muP rates E = 1 / m_in and

| rule        | decay of W       | lr * decay  | keeps in place                                  |
|-------------|------------------|-------------|-------------------------------------------------|
| constant    | 1                | m_in^-1     | the decay coefficient                           |
| sqrt        | m_in^1/2         | m_in^-1/2   | the top singular value, measured ~ width^3/4    |
| independent | 1 / E            | 1           | the decay per step                              |
| x           | m_in^x           | m_in^(x-1)  | the top singular value, if it ~ width^((1+x)/2) |
| measured    | by matrix        |             | its top singular value, as a sweep saw it grow  |

The last is a `transfer.scaling.Calibration`, which has an exponent for every matrix.

Sources: arXiv 2510.15262 (sqrt), 2405.13698 and 2510.19093 (independent), 2203.03466 (constant).
"""

import math

from transfer.errors import TransferError, nearest

EXPONENTS = {"constant": 0.0, "sqrt": 0.5}
INDEPENDENT = "independent"
MEASURED = "measured"


def parse(text: str | float) -> str | float:
    """Return a rule's name, or its exponent as a number; raises `TransferError` otherwise.

    Example:
      >>> parse("sqrt"), parse("0.6")
      ('sqrt', 0.6)
    """
    if text in EXPONENTS or text == INDEPENDENT:
        return text
    if text == MEASURED:
        raise TransferError(
            'The decay rule "measured" has no exponents of its own; expected a calibration: sweep '
            "another rule at three or more widths until it has settled, and let `transfer predict "
            "--decay=measured` write the hyperparameters for `transfer train`."
        )
    try:
        exponent = float(text)
    except ValueError:
        exponent = math.nan
    if not math.isfinite(exponent):
        raise TransferError(
            f'The decay rule "{text}" is unknown; expected sqrt, constant, independent, '
            "measured or a number x for decay ~ width^x"
            f"{nearest(str(text), [*EXPONENTS, INDEPENDENT, MEASURED])}."
        )
    return exponent


def factor(rule: str | float, m_in: float, step: float) -> float:
    """Decay of an effective hidden weight over its decay at the base width.

    `step` is E, the effective step over that at the base width. Exactly 1.0 at m_in = 1.
    """
    if rule == INDEPENDENT:
        return 1.0 / step
    exponent = EXPONENTS[rule] if isinstance(rule, str) else rule
    return math.pow(m_in, exponent)
