"""The answer of the regime classifier: a regime, and what of stability fails in which layer."""

import dataclasses
import enum
from fractions import Fraction

from transfer.scaling.abc_exponents import Exponents
from transfer.text_table import Tabular, TextTable


class Regime(enum.StrEnum):
    """What the infinitely wide network does in any fixed number of steps.

    | regime           | features                | output                                 |
    |------------------|-------------------------|----------------------------------------|
    | feature learning | move by order 1         | moves by order 1                       |
    | kernel           | stand still             | moves by order 1, as a kernel method's |
    | trivial          | do not blow up          | stands still                           |

    It is unstable where preactivations are not of order 1 at initialisation, or anything blows up.
    """

    FEATURE_LEARNING = "feature learning"
    KERNEL = "kernel"
    TRIVIAL = "trivial"
    UNSTABLE = "unstable"


class Condition(enum.StrEnum):
    """What stability asks for; the parts of Theorem 3.3 in arXiv 2011.14522."""

    INPUT_INIT = "the first preactivations are of order 1 at initialisation"
    HIDDEN_INIT = "the hidden preactivations are of order 1 at initialisation"
    OUTPUT_INIT = "the output does not blow up at initialisation"
    FEATURES = "the features do not blow up in training"
    READOUT_UPDATE = "the readout's update does not blow up the output"
    FEATURE_CHANGE = "the features' change does not blow up the output"


@dataclasses.dataclass(frozen=True)
class Violation:
    """A condition that fails in `layer` (from 1), with the equation that it breaks."""

    condition: Condition
    layer: int
    equation: str

    def __str__(self) -> str:
        return f"fails in layer {self.layer}: {self.condition} ({self.equation})"


@dataclasses.dataclass(frozen=True)
class RegimeReport(Tabular):
    """What `classify_regime` found; prints as a few lines.

    `updates` says for each layer, readout last, by which power of 1/n its own update moves its
    output; `changes` by which power its output changes in all, through the layers before it too.
    `readout_init` is that power for the initial readout acting on the features' change.
    """

    exponents: Exponents
    updates: tuple[Fraction, ...]
    changes: tuple[Fraction, ...]
    readout_init: Fraction
    violations: tuple[Violation, ...]

    @property
    def r(self) -> Fraction:
        """The last features move by order n^-r (Definition 3.2)."""
        return min(self.updates[:-1])

    @property
    def stable(self) -> bool:
        """Nothing blows up, and preactivations are of order 1 at initialisation (Theorem 3.3)."""
        return not self.violations

    @property
    def nontrivial(self) -> bool:
        """Stable, and the output moves by order 1."""
        return self.stable and min(self.updates[-1], self.readout_init) == 0

    @property
    def updated_maximally(self) -> tuple[bool, ...]:
        """For each layer, readout last, whether its update moves its output by order 1."""
        return tuple(update == 0 for update in self.updates)

    @property
    def readout_initialized_maximally(self) -> bool:
        """Whether the initial readout turns the features' change into an output of order 1."""
        return self.readout_init == 0

    @property
    def regime(self) -> Regime:
        """The regime: the features of a stable and nontrivial network move, or it is a kernel's."""
        if not self.stable:
            return Regime.UNSTABLE
        if not self.nontrivial:
            return Regime.TRIVIAL
        return Regime.FEATURE_LEARNING if self.r == 0 else Regime.KERNEL

    def text_table(self) -> TextTable:
        """Return what moves the output of each layer, with what fails in notes."""
        last = len(self.updates)
        rows = [
            [
                f"layer {layer}" if layer < last else "readout",
                *(_order(power) for power in (update, change)),
            ]
            for layer, (update, change) in enumerate(
                zip(self.updates, self.changes, strict=True), start=1
            )
        ]
        header = ["at width n", "moved by its own update", "moved in all"]
        caption = f"{self.regime} ({self.exponents.family} optimizers): r = {self.r}"
        return TextTable(caption, [header, *rows], tuple(map(str, self.violations)))

    def __str__(self) -> str:
        L = self.exponents.hidden_layers
        lines = [f"{self.regime} ({self.exponents.family} optimizers): r = {self.r}"]
        lines += [f"  {violation}" for violation in self.violations]
        for layer, update in enumerate(self.updates, start=1):
            name = f"layer {layer}" if layer <= L else "readout"
            lines.append(f"  {name}: its update moves its output by n^{-update}{_maximal(update)}")
        lines.append(
            f"  initial readout: moves the output by n^{-self.readout_init}"
            f"{_maximal(self.readout_init)}"
        )
        return "\n".join(lines)


def _order(power: Fraction) -> str:
    return "1" if power == 0 else f"n^{-power}"


def _maximal(power: Fraction) -> str:
    return " (maximal)" if power == 0 else ""
