"""Reparametrization: a layer's multiplier times theta, its weights over theta.

This is the symmetry between the forms of a parametrization (the abc symmetry).

The layer computes with W = A w alone, so A -> A theta and w -> w / theta is the same function. It
is the same training run too, step by step, if everything that acts on w is converted:

| column        | times      | for                                                             |
|---------------|------------|-----------------------------------------------------------------|
| multiplier    | theta      | A itself                                                        |
| std           | theta^-1   | A std, the init of W                                            |
| epsilon       | theta      | the gradient of w, which is A times that of W                   |
| clip          | theta^-2   | clip |dL/dw|^2, the layer's share of the clipped norm           |
| learning_rate | theta^-1   | A lr, the step of W; entrywise and spectral                     |
|               | theta^-2   | A^2 lr, the step of W per gradient of W; linear                 |
|               | 1          | lr, the step of W per size of W; relative                       |
| weight_decay  | 1 / lr's   | lr decay, what W loses per step                                 |

Betas, momentum, schedule and batches are left alone. The raw gradient norm is not invariant.

Source: arXiv 2203.03466, Lemma J.1 (multiplier, std, learning_rate).
"""

import dataclasses
import math
from collections.abc import Mapping

from transfer.errors import TransferError, nearest
from transfer.scaling.layout import Layout
from transfer.scaling.parameter import Parameter, Role
from transfer.scaling.powers import Power
from transfer.scaling.rule import ExponentRow, Family, Rule

_RATE: Mapping[Family, int] = {"entrywise": -1, "linear": -2, "relative": 0, "spectral": -1}
_ONE = Power()
# Which fans of a role grow with width, and may carry its multiplier.
_FANS: Mapping[Role, Mapping[str, str]] = {
    Role.INPUT: {"out": "fan_out"},
    Role.HIDDEN: {"in": "fan_in", "out": "fan_out"},
    Role.OUTPUT: {"in": "fan_in"},
}
Factors = Mapping[Role | str, str | float]


def symmetry(family: Family) -> dict[str, int]:
    """The power of theta that each column of a rule takes.

    Example:
      >>> symmetry("linear")["learning_rate"], symmetry("linear")["weight_decay"]
      (-2, 2)
    """
    return {
        "std": -1,
        "multiplier": 1,
        "learning_rate": _RATE[family],
        "weight_decay": -_RATE[family],
        "epsilon": 1,
        "clip": -2,
    }


def reparametrize(rule: Rule, theta: float, family: Family) -> Rule:
    """The rule of the same layer with its multiplier times theta: the same training run.

    The clip weight is converted as that of the invariant norm.

    Example:
      >>> table_8 = Rule(Role.OUTPUT, 1.0, 0.25, 1.0, 0.0, 0.25, 4.0)
      >>> reparametrize(table_8, 4.0, "entrywise")  # is Table 3
      Rule(role=<Role.OUTPUT: 'output'>, std=0.25, multiplier=1.0, learning_rate=0.25, \
weight_decay=0.0, epsilon=1.0, clip=0.25)
    """
    return dataclasses.replace(
        rule,
        **{
            column: getattr(rule, column) * theta**power
            for column, power in symmetry(family).items()
        },
    )


def reparametrize_exponents(row: ExponentRow, theta: Power, family: Family) -> ExponentRow:
    """The row of the same role with its multiplier times theta, exactly.

    Example:
      >>> table_8 = ExponentRow(multiplier=Power.parse("in^-1"), epsilon=Power.parse("in^-1"))
      >>> table_3 = reparametrize_exponents(table_8, Power.parse("in"), "entrywise")
      >>> table_3.multiplier, table_3.std, table_3.learning_rate
      (Power.parse("1"), Power.parse("in^-1"), Power.parse("in^-1"))
    """
    return dataclasses.replace(
        row,
        **{
            column: old * theta**power
            for column, power in symmetry(family).items()
            if (old := getattr(row, column)) is not None
        },
    )


@dataclasses.dataclass(frozen=True)
class Reparametrization:
    """The theta of every role, a power of the width multipliers, and of single layers, a number.

    A layer is the module that holds a weight: its weight and its multipliers change together.
    """

    roles: tuple[tuple[Role, Power], ...] = ()
    layers: tuple[tuple[str, float], ...] = ()

    def then(self, factors: Factors) -> "Reparametrization":
        """Return this one followed by `factors`; raises `TransferError` for one that is none."""
        roles, layers = dict(self.roles), dict(self.layers)
        for key, theta in factors.items():
            if isinstance(theta, str):
                role = _role(key)
                roles[role] = roles.get(role, _ONE) * _power(role, theta)
            else:
                layers[_layer(key)] = layers.get(key, 1.0) * _number(key, theta)
        return Reparametrization(
            tuple((role, roles[role]) for role in sorted(roles) if roles[role] != _ONE),
            tuple((path, layers[path]) for path in sorted(layers) if layers[path] != 1.0),
        )

    def power(self, role: Role) -> Power:
        """Theta of a role, as a power of the width multipliers."""
        return dict(self.roles).get(role, _ONE)

    def factor(self, parameter: Parameter) -> float:
        """Theta of the layer that a weight or a multiplier belongs to; 1.0 for all else."""
        if parameter.activations or parameter.role not in _FANS:
            return 1.0
        return dict(self.layers).get(_owner(parameter.path), 1.0)

    def require(self, layout: Layout) -> None:
        """Raise `TransferError` unless every layer of it holds a weight of the layout."""
        weights = {
            _owner(path)
            for path, each in layout.items()
            if each.role in _FANS and not each.activations
        }
        for path, _ in self.layers:
            if path in weights:
                continue
            if path in {_owner(each) for each in layout}:
                raise TransferError(
                    f"{path} holds vectors and scalars alone, which carry no multiplier; expected "
                    "a layer with a weight to reparametrize."
                )
            raise TransferError(
                f'The layout holds no layer "{path}"{nearest(path, weights)}; expected the module '
                "of a weight to reparametrize, such as "
                f"{min(weights, default='readout')}."
            )

    def __str__(self) -> str:
        return ", ".join(f"{key} x {theta}" for key, theta in (*self.roles, *self.layers))


def _owner(path: str) -> str:
    return path.rpartition(".")[0] or path


def _role(key: Role | str) -> Role:
    if key not in list(Role):
        raise TransferError(
            f'"{key}" is reparametrized by a power of the width multipliers but is no role'
            f"{nearest(key, _FANS)}; expected input, hidden or output, or a number for one layer."
        )
    role = Role(key)
    if role not in _FANS:
        raise TransferError(
            f"A {role} carries no multiplier, so it cannot be reparametrized; expected input, "
            "hidden or output."
        )
    return role


def _power(role: Role, text: str) -> Power:
    try:
        power = Power.parse(text)
    except ValueError as error:
        raise TransferError(
            f'The factor "{text}" of {role} is no power of the width multipliers ({error}); '
            'expected text such as "in^-1/2".'
        ) from None
    grows = _FANS[role]
    if power != Power(**{field: getattr(power, field) for field in grows.values()}):
        sides = " and ".join(f'"{side}"' for side in grows)
        raise TransferError(
            f'The factor "{text}" of {role} names a side that does not grow with width; expected '
            f"a power of {sides}."
        )
    return power


def _layer(key: Role | str) -> str:
    if isinstance(key, Role):
        raise TransferError(
            f"The role {key} is reparametrized by a number; expected a power of the width "
            'multipliers as text, such as "in^-1/2", since at the base width all forms are one.'
        )
    return key


def _number(key: str, theta: float) -> float:
    if not 0 < theta < math.inf:
        raise TransferError(
            f"{key} is reparametrized by {theta}; expected a finite number above 0."
        )
    return float(theta)
