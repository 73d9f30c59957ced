"""Exact powers of how much larger a run is than the base run."""

import dataclasses
import math
import operator
from fractions import Fraction

_ZERO, _ONE = Fraction(0), Fraction(1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Growth:
    """How much larger than the base everything is that a parameter's factors depend on.

    `fan_in` and `fan_out` are those of the parameter, `depth` is the number of weights in its stack
    (1 outside the blocks), and `steps` the number of steps of the run, tokens over batch size.
    """

    fan_in: Fraction = _ONE
    fan_out: Fraction = _ONE
    depth: Fraction = _ONE
    steps: Fraction = _ONE


# The field of `Growth` and `Power` that each base in a text stands for.
_FIELDS = {"in": "fan_in", "out": "fan_out", "depth": "depth", "steps": "steps"}


@dataclasses.dataclass(frozen=True)
class Power:
    """A product of rational powers of the fields of `Growth`.

    Example:
      >>> Power.parse("in^-1/2 out") * Power.parse("in^-1/2 depth^-1")
      Power.parse("in^-1 out depth^-1")
      >>> Power.parse("in^-1/2 out").at(Growth(fan_in=Fraction(4), fan_out=Fraction(3)))
      1.5
    """

    fan_in: Fraction = _ZERO
    fan_out: Fraction = _ZERO
    depth: Fraction = _ZERO
    steps: Fraction = _ZERO

    @classmethod
    def parse(cls, text: str) -> "Power":
        """Read `1`, `in^-1`, `out^1/2` or `in^-1 depth`; raises `ValueError` on anything else."""
        exponents = dict.fromkeys(_FIELDS.values(), _ZERO)
        for factor in text.split():
            base, _, exponent = factor.partition("^")
            if base == "1":
                continue
            if base not in _FIELDS:
                raise ValueError(f'"{factor}" is no power of {", ".join(_FIELDS)}')
            exponents[_FIELDS[base]] += Fraction(exponent or 1)
        return cls(**exponents)

    @property
    def width(self) -> Fraction:
        """The exponent of width where every growing axis grows alike."""
        return self.fan_in + self.fan_out

    def at(self, growth: Growth) -> float:
        """Evaluate; exactly 1.0 where nothing grows."""
        return math.prod(
            math.pow(getattr(growth, field), getattr(self, field)) for field in _FIELDS.values()
        )

    def __mul__(self, other: "Power") -> "Power":
        return Power(*map(operator.add, self._exponents, other._exponents))

    def __truediv__(self, other: "Power") -> "Power":
        return self * other**-1

    def __pow__(self, exponent: Fraction | int) -> "Power":
        return Power(*(own * exponent for own in self._exponents))

    @property
    def _exponents(self) -> tuple[Fraction, ...]:
        return self.fan_in, self.fan_out, self.depth, self.steps

    def __str__(self) -> str:
        factors = [
            base if exponent == 1 else f"{base}^{exponent}"
            for base, exponent in zip(_FIELDS, self._exponents, strict=True)
            if exponent
        ]
        return " ".join(factors) or "1"

    def __repr__(self) -> str:
        return f'Power.parse("{self}")'
