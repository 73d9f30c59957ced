"""abc-exponents: how multiplier, init and learning rate of each layer follow the width n.

A network of L hidden layers has L + 1 weight layers: the input layer 1 (finite -> n), the hidden
layers 2 to L (n -> n) and the readout L + 1 (n -> finite). Layer l uses W = n^-a w with w drawn
from N(0, n^-2b) and trained at the rate lr * n^-c, each layer with exponents of its own.
"""

import dataclasses
from fractions import Fraction
from typing import TYPE_CHECKING

from transfer.errors import TransferError
from transfer.renamed import renamed
from transfer.scaling.parameter import Role
from transfer.scaling.recipe import Recipe
from transfer.scaling.reparametrization import symmetry
from transfer.scaling.rule import FAMILIES, Family

# The columns of a recipe's row whose powers of n fall as n^-a, n^-b and n^-c.
_COLUMNS = {"a": "multiplier", "b": "std", "c": "learning_rate"}


@dataclasses.dataclass(frozen=True)
class LayerExponents:
    """One layer: multiplier n^-a, init std n^-b, learning rate n^-c."""

    a: Fraction
    b: Fraction
    c: Fraction

    def __str__(self) -> str:
        return f"{self.a} {self.b} {self.c}"


@dataclasses.dataclass(frozen=True)
class Exponents:
    """The abc-parametrization of a multilayer perceptron under one family of optimizers.

    `layers` runs from the input layer to the readout, at least these two; `family` is that of
    `Recipe`: `linear` for SGD, `entrywise` for Adam. Raises `TransferError` for fewer than two
    layers or an unknown family.

    Example:
      >>> mup = Exponents.parse("-1/2 1/2 0 | 0 1/2 0 | 1/2 1/2 0", family="linear")
      >>> mup.layers[0].a, mup.hidden_layers
      (Fraction(-1, 2), 2)
      >>> print(mup.reparametrized(1, "1/2"))
      0 0 -1 | 0 1/2 0 | 1/2 1/2 0

    Source: Yang & Hu, arXiv 2011.14522 (one rate c for all layers, which equation 5 makes many).
    """

    layers: tuple[LayerExponents, ...]
    family: Family

    if not TYPE_CHECKING:
        __getattr__ = renamed("Exponents", {}, deprecated={"shifted": "reparametrized"})

    def __post_init__(self) -> None:
        if len(self.layers) < 2:
            raise TransferError(
                f"The network has {len(self.layers)} layers of weights; expected at least 2, an "
                "input layer and a readout."
            )
        if self.family not in FAMILIES:
            raise TransferError(
                f'The family "{self.family}" is unknown; expected one of {", ".join(FAMILIES)}.'
            )

    @classmethod
    def parse(cls, text: str, family: Family) -> "Exponents":
        """Read `a b c | a b c | ...` from the input layer to the readout, as printed by `str`.

        Raises `TransferError` when a layer has not three numbers such as 0, 0.25 or -1/2.
        """
        try:
            layers = tuple(
                LayerExponents(*map(Fraction, layer.split())) for layer in text.split("|")
            )
        except (TypeError, ValueError, ZeroDivisionError):
            raise TransferError(
                f'The exponents "{text}" cannot be read; expected three numbers a layer, '
                '"a b c | a b c", such as "0 0 -1 | 1 0 -1".'
            ) from None
        return cls(layers, family)

    @classmethod
    def of(cls, recipe: Recipe | str, family: Family, hidden_layers: int = 2) -> "Exponents":
        """Return the exponents that a recipe gives when all hidden layers grow alike.

        Raises `TransferError` without a hidden layer.

        Example:
          >>> print(Exponents.of(Recipe("mup"), "entrywise"))
          0 0 0 | 0 1/2 1 | 1 0 0

        Source: the rows of `PARAMETRIZATIONS`; the input's fan-in does not grow.
        """
        if hidden_layers < 1:
            raise TransferError(
                f"A network of {hidden_layers} hidden layers has no width; expected at least 1."
            )
        layers = []
        for role in (Role.INPUT, *[Role.HIDDEN] * (hidden_layers - 1), Role.OUTPUT):
            row = Recipe.of(recipe).exponents(role, family)
            layers.append(
                LayerExponents(**{a: -getattr(row, name).width for a, name in _COLUMNS.items()})
            )
        return cls(tuple(layers), family)

    @property
    def hidden_layers(self) -> int:
        """L, the number of layers of width n."""
        return len(self.layers) - 1

    def reparametrized(self, layer: int, theta: Fraction | int | str) -> "Exponents":
        """The same network, trained the same way, with `theta` moved from the init of one layer.

            a -> a + theta,  b -> b - theta,  c -> c - k theta

        with k = 2 for SGD, 1 for Adam, 0 for relative steps and 1 for spectral ones; `layer` counts
        from 1. Adam's epsilon has to follow the gradient.

        Source: arXiv 2011.14522, equation 5; arXiv 2203.03466, Lemma J.1.
        """
        theta, powers, old = Fraction(theta), symmetry(self.family), self.layers[layer - 1]
        new = LayerExponents(
            **{a: getattr(old, a) + powers[name] * theta for a, name in _COLUMNS.items()}
        )
        layers = (*self.layers[: layer - 1], new, *self.layers[layer:])
        return dataclasses.replace(self, layers=layers)

    def slowed(self, c: Fraction | int | str) -> "Exponents":
        """The same network with every learning rate times n^-c.

        Example:
          >>> print(Exponents.of(Recipe("standard"), "linear").slowed(1))
          0 0 1 | 0 1/2 1 | 0 1/2 1
        """
        layers = (dataclasses.replace(layer, c=layer.c + Fraction(c)) for layer in self.layers)
        return dataclasses.replace(self, layers=tuple(layers))

    def __str__(self) -> str:
        return " | ".join(map(str, self.layers))
