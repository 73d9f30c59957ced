"""How the cost of a convolutional network grows when depth, width and resolution grow together.

Let FLOPs grow by s. Depth d takes the share e_d of it, width w e_w and resolution r e_r, which add
up to 1: d grows as s^e_d, w as s^(e_w / 2) and r as s^(e_r / 2), since

    FLOPs ~ d w^2 r^2,    activations ~ d w r^2,    parameters ~ d w^2.

So activations grow as s^(1 - e_w / 2) and parameters as s^(1 - e_r). On accelerators, time follows
activations more than FLOPs; `fast` gives width nearly all.

Source: Dollár et al., arXiv 2103.06877.
"""

import dataclasses
from collections.abc import Mapping
from fractions import Fraction

from transfer.errors import TransferError


@dataclasses.dataclass(frozen=True)
class Compound:
    """The shares of the growth in FLOPs that depth, width and resolution take.

    Raises `TransferError` unless they add up to 1 and none is below 0.

    Example:
      >>> Compound.fast(Fraction(4, 5)).activations
      Fraction(3, 5)
      >>> COMPOUNDS["width"].at(16)
      {'depth': 1.0, 'width': 4.0, 'resolution': 1.0}
    """

    depth: Fraction
    width: Fraction
    resolution: Fraction

    def __post_init__(self) -> None:
        shares = (self.depth, self.width, self.resolution)
        if min(shares) < 0 or sum(shares) != 1:
            raise TransferError(
                f"Depth, width and resolution take {', '.join(map(str, shares))} of the growth in "
                "FLOPs; expected shares of at least 0 that add up to 1."
            )

    @classmethod
    def fast(cls, alpha: Fraction) -> "Compound":
        """Give width the share alpha, depth and resolution half of the rest each."""
        rest = (1 - alpha) / 2
        return cls(rest, alpha, rest)

    @property
    def activations(self) -> Fraction:
        """Power of FLOPs by which activations grow."""
        return 1 - self.width / 2

    @property
    def parameters(self) -> Fraction:
        """Power of FLOPs by which parameters grow."""
        return 1 - self.resolution

    def at(self, flops: float) -> dict[str, float]:
        """By how much depth, width and resolution grow where FLOPs grow so many times."""
        return {
            "depth": flops ** float(self.depth),
            "width": flops ** float(self.width / 2),
            "resolution": flops ** float(self.resolution / 2),
        }


_THIRD = Fraction(1, 3)
_HALF = Fraction(1, 2)

# Each as the paper names it: d, w, r, dw, wr, dr, dwr (uniform) and dWr (fast).
COMPOUNDS: Mapping[str, Compound] = {
    "depth": Compound(Fraction(1), Fraction(0), Fraction(0)),
    "width": Compound(Fraction(0), Fraction(1), Fraction(0)),
    "resolution": Compound(Fraction(0), Fraction(0), Fraction(1)),
    "depth and width": Compound(_HALF, _HALF, Fraction(0)),
    "width and resolution": Compound(Fraction(0), _HALF, _HALF),
    "depth and resolution": Compound(_HALF, Fraction(0), _HALF),
    "uniform": Compound(_THIRD, _THIRD, _THIRD),
    "fast": Compound.fast(Fraction(4, 5)),
}


def growth_table() -> list[list[str]]:
    """Header and rows: per way to scale, the powers of FLOPs by which everything grows.

    Example:
      >>> for row in growth_table()[:3]:
      ...     print(" | ".join(row))
      scaling | depth | width | resolution | parameters | activations
      depth | 1 | 0 | 0 | 1 | 1
      width | 0 | 1/2 | 0 | 1 | 1/2
    """
    header = ["scaling", "depth", "width", "resolution", "parameters", "activations"]
    rows = [
        [name, *map(str, (c.depth, c.width / 2, c.resolution / 2, c.parameters, c.activations))]
        for name, c in COMPOUNDS.items()
    ]
    return [header, *rows]
