"""What a recipe asks of a model, and refuses where the model cannot follow it."""

from collections.abc import Mapping

from transfer.errors import TransferError
from transfer.scaling.layout import Layout
from transfer.scaling.parameter import Parameter, Role
from transfer.scaling.powers import Power
from transfer.scaling.reparametrization import Reparametrization
from transfer.scaling.rule import ExponentRow

_ONE = Power()
_WORDS = {"std": "init std", "learning_rate": "learning rate", "epsilon": "epsilon"}


def require_depth(parameter: Parameter, rule: str) -> None:
    """Raise `TransferError` for blocks of another depth than the base's without a depth rule."""
    if parameter.m_depth != 1 and not rule:
        raise TransferError(
            f"{parameter.path} lies in blocks of {float(parameter.m_depth):g} times the base "
            "depth, for which the recipe has no rule; expected depth = completep or depth_mup, or "
            "the base model's own depth."
        )


def require_equal_tie(
    parameter: Parameter, recipe: str, lookup: ExponentRow, readout: ExponentRow
) -> None:
    """Raise `TransferError` where a tied embedding would need two inits or two learning rates.

    The table's width is its fan-out as a lookup and its fan-in as a readout. Exponents are
    compared, not factors, so that a tie is refused at the base width too.
    """
    for name, word in _WORDS.items():
        if getattr(lookup, name).fan_out != getattr(readout, name).fan_in:
            raise TransferError(
                f"{parameter.path} is both embedding and readout, but {recipe} gives the two a "
                f"different {word}; expected an untied readout, or a recipe whose rows agree such "
                "as mup+sqrt."
            )
    if readout.weight_decay is not None:
        raise TransferError(
            f"{parameter.path} is both embedding and readout, and embeddings are not decayed; "
            "expected decay_readout=False or an untied readout."
        )


def require_multipliers(
    layout: Layout, recipe: str, rows: Mapping[Role, ExponentRow], changed: Reparametrization
) -> None:
    """Raise `TransferError` where a recipe multiplies a weight that its own model does not.

    Exponents are asked, not factors, so that a mismatch shows at the base width too.
    """
    for path, parameter in layout.items():
        uses = (parameter.role, Role.OUTPUT) if parameter.tied else (parameter.role,)
        theta = changed.factor(parameter)
        for role in uses:
            power = rows[role].multiplier
            if layout.multiplied is None or path in layout.multiplied:
                continue
            if power != _ONE or theta != 1.0:
                by = " x ".join(str(each) for each in (power, theta) if each not in (_ONE, 1.0))
                instead = "" if parameter.tied else "a recipe such as mup_table3+sqrt, or "
                raise TransferError(
                    f"{recipe} multiplies {path} as {role} weight by {by} in the forward pass, "
                    f"which the layout says this model does not; expected {instead}a model that "
                    "applies transfer.multiplier and a layout inferred with "
                    f"multiplied=[{path!r}]."
                )


def require_relative_init(layout: Layout, initializer: str) -> None:
    """Raise `TransferError` for an absolute init of a model whose own init is rescaled."""
    if layout.multiplied is not None and initializer == "spectral":
        raise TransferError(
            "The spectral initializer sets a std, and a model of one's own has its init rescaled "
            'by a factor; expected initializer="gaussian", or weights drawn with '
            "transfer.spectral_std."
        )
