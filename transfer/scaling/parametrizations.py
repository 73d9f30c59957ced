"""The parametrizations, each as the table that its paper prints.

A row gives factors relative to the base width, as powers of `in` (m_in, growth of fan-in) and `out`
(m_out, growth of fan-out). With W = multiplier * w the effective weight and G the size of dL/dW,

    effective init  = multiplier * std
    effective step  = multiplier * adam                (Adam)
                    = multiplier^2 * G * sgd           (SGD)
    epsilon         = multiplier * G                   (the size of dL/dw)

Parametrizations whose effective columns agree are forms of one another: the same function, trained
the same way. `tests/scaling/test_parametrizations.py` holds every row to these equations.
"""

import dataclasses
from collections.abc import Mapping
from fractions import Fraction
from typing import Literal

from transfer.scaling.parameter import Role
from transfer.scaling.powers import Power

Rates = Literal["uniform", "full", "none"]


@dataclasses.dataclass(frozen=True)
class ParametrizationRow:
    """One line of a table: what one role takes, relative to the base width.

    The two learning-rate columns hold the exponents under full alignment (of weight updates with
    the activations they act on) and under none; rates `uniform` need no column, they are all 1.
    """

    std: Power
    multiplier: Power
    adam: Mapping[str, Power]
    sgd: Mapping[str, Power]
    epsilon: Power


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parametrization:
    """A named table with the defaults that go with it.

    `attention` is the exponent of the growth of the head dimension in the attention logits.
    `framework_epsilon` says that under uniform rates epsilon is left alone, as frameworks do.
    """

    rows: Mapping[Role, ParametrizationRow]
    attention: Fraction
    rates: Rates
    decay: str
    framework_epsilon: bool = False


def _row(
    std: str, multiplier: str, adam: tuple[str, str], sgd: tuple[str, str], epsilon: str
) -> ParametrizationRow:
    return ParametrizationRow(
        std=Power.parse(std),
        multiplier=Power.parse(multiplier),
        adam=dict(zip(("full", "none"), map(Power.parse, adam), strict=True)),
        sgd=dict(zip(("full", "none"), map(Power.parse, sgd), strict=True)),
        epsilon=Power.parse(epsilon),
    )


_SCALAR = _row("1", "1", ("1", "1"), ("1", "1"), "1")

# Everett et al., arXiv 2407.05872, Table 1; uniform rates are what frameworks do.
_STANDARD = {
    #                   std        mult  Adam full, none       SGD full, none                      epsilon
    Role.INPUT:  _row("1",       "1", ("1", "1"),            ("out^1/2", "out^1/2"),             "out^-1/2"),
    Role.HIDDEN: _row("in^-1/2", "1", ("in^-1", "in^-1/2"),  ("in^-1 out^1/2", "in^-1/2 out^1/2"), "out^-1/2"),
    Role.OUTPUT: _row("in^-1/2", "1", ("in^-1", "in^-1/2"),  ("in^-1", "in^-1/2"),               "1"),
    Role.VECTOR: _row("1",       "1", ("1", "1"),            ("out^1/2", "out^1/2"),             "out^-1/2"),
    Role.SCALAR: _SCALAR,
}  # fmt: skip

# Everett et al., arXiv 2407.05872, Table 1.
_NTK = {
    Role.INPUT:  _row("1", "1",       ("1", "1"),       ("out^1/2", "out^1/2"),        "out^-1/2"),
    Role.HIDDEN: _row("1", "in^-1/2", ("in^-1/2", "1"), ("out^1/2", "in^1/2 out^1/2"), "in^-1/2 out^-1/2"),
    Role.OUTPUT: _row("1", "in^-1/2", ("in^-1/2", "1"), ("1", "in^1/2"),               "in^-1/2"),
    Role.VECTOR: _row("1", "1",       ("1", "1"),       ("out^1/2", "out^1/2"),        "out^-1/2"),
    Role.SCALAR: _SCALAR,
}  # fmt: skip

# Tensor Programs V, arXiv 2203.03466, Table 3: no multipliers.
_MUP_TABLE3 = {
    Role.INPUT:  _row("1",       "1", ("1", "1"),           ("out", "out"),                 "out^-1"),
    Role.HIDDEN: _row("in^-1/2", "1", ("in^-1", "in^-1/2"), ("in^-1 out", "in^-1/2 out"),   "out^-1"),
    Role.OUTPUT: _row("in^-1",   "1", ("in^-1", "in^-1/2"), ("in^-1", "in^-1/2"),           "1"),
    Role.VECTOR: _row("1",       "1", ("1", "1"),           ("out", "out"),                 "out^-1"),
    Role.SCALAR: _SCALAR,
}  # fmt: skip

# Tensor Programs V, arXiv 2203.03466, Table 8: the readout carries a multiplier.
_MUP = {
    Role.INPUT:  _row("1",       "1",     ("1", "1"),           ("out", "out"),               "out^-1"),
    Role.HIDDEN: _row("in^-1/2", "1",     ("in^-1", "in^-1/2"), ("in^-1 out", "in^-1/2 out"), "out^-1"),
    Role.OUTPUT: _row("1",       "in^-1", ("1", "in^1/2"),      ("in", "in^3/2"),             "in^-1"),
    Role.VECTOR: _row("1",       "1",     ("1", "1"),           ("out", "out"),               "out^-1"),
    Role.SCALAR: _SCALAR,
}  # fmt: skip

# Tensor Programs V, arXiv 2203.03466, Table 9: one SGD learning rate for all matrices.
_MUP_TABLE9 = {
    Role.INPUT:  _row("out^-1/2", "out^1/2", ("out^-1/2", "out^-1/2"), ("1", "1"),                   "out^-1/2"),
    Role.HIDDEN: _row("in^-1/2",  "1",       ("in^-1", "in^-1/2"),     ("in^-1 out", "in^-1/2 out"), "out^-1"),
    Role.OUTPUT: _row("in^-1/2",  "in^-1/2", ("in^-1/2", "1"),         ("1", "in^1/2"),              "in^-1/2"),
    Role.VECTOR: _row("1",        "1",       ("1", "1"),               ("out", "out"),               "out^-1"),
    Role.SCALAR: _SCALAR,
}  # fmt: skip

# Everett et al., arXiv 2407.05872, Table 1.
_MEAN_FIELD = {
    Role.INPUT:  _row("1", "1",       ("1", "1"),       ("out", "out"),        "out^-1"),
    Role.HIDDEN: _row("1", "in^-1/2", ("in^-1/2", "1"), ("out", "in^1/2 out"), "in^-1/2 out^-1"),
    Role.OUTPUT: _row("1", "in^-1",   ("1", "in^1/2"),  ("in", "in^3/2"),      "in^-1"),
    Role.VECTOR: _row("1", "1",       ("1", "1"),       ("out", "out"),        "out^-1"),
    Role.SCALAR: _SCALAR,
}  # fmt: skip

# u-muP, arXiv 2407.17465, Table 2, relative to the base width: mean field, but for the embedding,
# whose Adam learning rate falls as width^-1/2.
_UNIT = {
    Role.INPUT:  _row("1", "1",       ("out^-1/2", "out^-1/2"), ("out^1/2", "out^1/2"), "out^-1"),
    Role.HIDDEN: _row("1", "in^-1/2", ("in^-1/2", "1"),         ("out", "in^1/2 out"),  "in^-1/2 out^-1"),
    Role.OUTPUT: _row("1", "in^-1",   ("1", "in^1/2"),          ("in", "in^3/2"),       "in^-1"),
    Role.VECTOR: _row("1", "1",       ("1", "1"),               ("out", "out"),         "out^-1"),
    Role.SCALAR: _SCALAR,
}  # fmt: skip


def _standard_class(
    rows: Mapping[Role, ParametrizationRow], *, framework_epsilon: bool
) -> Parametrization:
    return Parametrization(
        rows=rows,
        attention=Fraction(-1, 2),
        rates="uniform",
        decay="constant",
        framework_epsilon=framework_epsilon,
    )


def _mup_class(rows: Mapping[Role, ParametrizationRow]) -> Parametrization:
    return Parametrization(rows=rows, attention=Fraction(-1), rates="full", decay="sqrt")


PARAMETRIZATIONS: Mapping[str, Parametrization] = {
    "standard": _standard_class(_STANDARD, framework_epsilon=True),
    "ntk": _standard_class(_NTK, framework_epsilon=False),
    "mup": _mup_class(_MUP),
    "mup_table3": _mup_class(_MUP_TABLE3),
    "mup_table9": _mup_class(_MUP_TABLE9),
    "mean_field": _mup_class(_MEAN_FIELD),
    "unit": _mup_class(_UNIT),
}
