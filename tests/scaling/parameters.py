"""Parameters of every role, at any growth of their fan-in and fan-out."""

from fractions import Fraction
from typing import Any

from hypothesis import settings

from transfer.scaling import Annotated, Axes, Layout, Parameter, Role

# For property tests: enough examples for power laws, and no deadline on a busy machine.
few = settings(max_examples=20, deadline=None)

GROWING = {"embed", "ffn", "heads", "kv_heads", "channels", "filters"}
ROLES = tuple(Role)
MUP_FORMS = ("mup", "mup_table3", "mup_table9", "mean_field")
MUP_CLASS = (*MUP_FORMS, "unit")
STANDARD_CLASS = ("standard", "ntk")
EVERY = (*STANDARD_CLASS, *MUP_CLASS)

_AXES = {
    Role.INPUT: "features -> embed",
    Role.HIDDEN: "embed -> ffn",
    Role.OUTPUT: "embed -> classes",
    Role.VECTOR: "embed",
    Role.SCALAR: "head_dim",
}


def layout(axes: str, base: tuple[int, ...], target: tuple[int, ...], **declared: Any) -> Layout:
    """A model of one parameter, "w", whose axes in `GROWING` double from the base to the probe."""
    parsed = Axes.parse(axes)
    probe = tuple(
        2 * n if name in GROWING else n for name, n in zip(parsed.names, base, strict=True)
    )
    return Layout.compare(
        **{
            width: {"w": Annotated(axes=parsed, shape=shape, **declared)}
            for width, shape in (("base", base), ("probe", probe), ("target", target))
        }
    )


def parameter(
    axes: str, base: tuple[int, ...], target: tuple[int, ...], **declared: Any
) -> Parameter:
    return layout(axes, base, target, **declared)["w"]


def of_role(
    role: Role, m_in: Fraction | int = 1, m_out: Fraction | int | None = None, **declared: Any
) -> Parameter:
    """A parameter whose growing axes grow by `m_in` and `m_out` (the same unless given)."""
    sides = {"embed": Fraction(m_in), "ffn": Fraction(m_in if m_out is None else m_out)}
    if role in (Role.INPUT, Role.VECTOR):
        sides["embed"] = sides["ffn"]
    growth = [sides.get(name, Fraction(1)) for name in Axes.parse(_AXES[role]).names]
    base = tuple(12 * m.denominator for m in growth)
    target = tuple(12 * m.numerator for m in growth)
    return parameter(_AXES[role], base, target, **declared)
