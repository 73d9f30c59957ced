"""Exact powers of the two width multipliers of a weight."""

import dataclasses
import math
from fractions import Fraction


@dataclasses.dataclass(frozen=True)
class Power:
    """m_in^fan_in * m_out^fan_out with rational exponents.

    Example:
      >>> Power.parse("in^-1/2 out")
      Power(fan_in=Fraction(-1, 2), fan_out=Fraction(1, 1))
      >>> Power.parse("in^-1/2 out").at(Fraction(4), Fraction(3))
      1.5
    """

    fan_in: Fraction = Fraction(0)
    fan_out: Fraction = Fraction(0)

    @classmethod
    def parse(cls, text: str) -> "Power":
        """Read `1`, `in^-1`, `out^1/2` or `in^-1 out`; raises `ValueError` on anything else."""
        exponents = {"in": Fraction(0), "out": Fraction(0)}
        for factor in text.split():
            base, _, exponent = factor.partition("^")
            if base == "1":
                continue
            if base not in exponents:
                raise ValueError(f'"{factor}" is no power of "in" or "out"')
            exponents[base] += Fraction(exponent or 1)
        return cls(exponents["in"], exponents["out"])

    def at(self, m_in: Fraction, m_out: Fraction) -> float:
        """Evaluate; exactly 1.0 when both multipliers are 1."""
        return math.pow(m_in, self.fan_in) * math.pow(m_out, self.fan_out)

    def __mul__(self, other: "Power") -> "Power":
        return Power(self.fan_in + other.fan_in, self.fan_out + other.fan_out)

    def __truediv__(self, other: "Power") -> "Power":
        return Power(self.fan_in - other.fan_in, self.fan_out - other.fan_out)

    def __pow__(self, exponent: int) -> "Power":
        return Power(self.fan_in * exponent, self.fan_out * exponent)

    def __str__(self) -> str:
        factors = [
            base if exponent == 1 else f"{base}^{exponent}"
            for base, exponent in (("in", self.fan_in), ("out", self.fan_out))
            if exponent
        ]
        return " ".join(factors) or "1"
