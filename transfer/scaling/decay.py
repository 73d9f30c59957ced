"""How the weight decay of hidden matrices follows width: by a rule, or as a sweep measured it.

Rules are stated for the effective weight W = A * w, whose step per update is E (relative to the
base width) and which loses the fraction lr * decay per step. Under muP rates E = 1 / m_in and

| rule        | decay of W       | lr * decay  | keeps in place                                  |
|-------------|------------------|-------------|-------------------------------------------------|
| constant    | 1                | m_in^-1     | the decay coefficient                           |
| sqrt        | m_in^1/2         | m_in^-1/2   | the top singular value, measured ~ width^3/4    |
| independent | 1 / E            | 1           | the decay per step                              |
| x           | m_in^x           | m_in^(x-1)  | the top singular value, if it ~ width^((1+x)/2) |
| measured    | by matrix        |             | its top singular value, as a sweep saw it grow  |

The last is a `Calibration`, which has an exponent for every matrix.

Sources: arXiv 2510.15262 (sqrt), 2405.13698 and 2510.19093 (independent), 2203.03466 (constant).
"""

import dataclasses
import math
from collections.abc import Mapping
from fractions import Fraction

from transfer.errors import TransferError, nearest
from transfer.scaling.layout import Layout
from transfer.scaling.parameter import Role
from transfer.scaling.powers import Power

EXPONENTS: Mapping[str, Fraction] = {"constant": Fraction(0), "sqrt": Fraction(1, 2)}
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


def power(rule: str | float, step: Power) -> Power:
    """How the decay of an effective hidden weight grows, whose step per update grows as `step`.

    Example:
      >>> power("sqrt", Power.parse("in^-1")), power("independent", Power.parse("in^-1"))
      (Power.parse("in^1/2"), Power.parse("in"))
    """
    if rule == INDEPENDENT:
        return step**-1
    # The decimals that a float prints are the number that was meant: 0.6 is 3/5.
    return Power(fan_in=EXPONENTS[rule] if isinstance(rule, str) else Fraction(str(rule)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """How decay follows width beyond the proxies it was measured on, by hidden matrix.

    Up to the widest proxy it follows the rule that was swept, so that the proxies stay what they
    are and all widths coincide at the base; from there each matrix follows its own exponent x:

        decay ~ m_in^swept                                 for m_in <= widest
        decay ~ widest^swept * (m_in / widest)^x           beyond

    Arguments:
      paths: the hidden matrices of the layout, all of them.
      exponents: their x, in the same order.
      swept: the exponent of the rule under which the proxies were swept.
      widest: m_in at the widest proxy, at least 1.

    Without paths it says nothing, and no recipe takes it. Raises `TransferError` for numbers that
    are not finite, a widest proxy below the base, and as many exponents as paths it does not have.

    Example:
      >>> measured = Calibration(paths=("up", "down"), exponents=(0.25, 1.0), swept=0.5, widest=4.0)
      >>> [measured.factor("down", m_in) for m_in in (1.0, 4.0, 16.0)]
      [1.0, 2.0, 8.0]
    """

    paths: tuple[str, ...] = ()
    exponents: tuple[float, ...] = ()
    swept: float = 0.0
    widest: float = 1.0

    def __post_init__(self) -> None:
        if len(set(self.paths)) != len(self.exponents) or len(self.paths) != len(self.exponents):
            raise TransferError(
                f"The calibration has {len(self.exponents)} exponents for {len(self.paths)} paths; "
                "expected one for each path, and no path twice."
            )
        for number in (*self.exponents, self.swept):
            if not math.isfinite(number):
                raise TransferError(
                    f"The calibration has the exponent {number}; expected a finite number x for "
                    "decay ~ width^x."
                )
        if not 1 <= self.widest < math.inf:
            raise TransferError(
                f"The calibration's widest proxy has {self.widest:g} times the base width; "
                "expected at least 1: sweep proxies of the base width or wider."
            )

    def __str__(self) -> str:
        return "measured"

    def factor(self, path: str, m_in: float) -> float:
        """Decay of an effective hidden weight over its decay at the base width.

        Raises `TransferError` for a matrix that was not measured.
        """
        found = dict(zip(self.paths, self.exponents, strict=True))
        if path not in found:
            raise TransferError(
                f"No decay exponent was measured for {path}{nearest(path, self.paths)}; expected "
                "proxies with the same sublayers as the target."
            )
        below, beyond = min(m_in, self.widest), max(m_in / self.widest, 1.0)
        return math.pow(below, self.swept) * math.pow(beyond, found[path])

    def require(self, layout: Layout) -> None:
        """Raise `TransferError` unless the matrices measured are the hidden ones of a layout."""
        hidden = {path for path, each in layout.items() if each.role == Role.HIDDEN}
        if odd := sorted(hidden ^ set(self.paths)):
            raise TransferError(
                f"The hidden matrices of the model and those whose decay exponent was measured "
                f"differ at {', '.join(odd[:3])}{' and more' if len(odd) > 3 else ''}; expected "
                "proxies with the same sublayers as the target."
            )
