"""By how much a recipe's layers are shifted along the symmetry of `transfer.scaling.symmetry`."""

import dataclasses
import math
from collections.abc import Mapping

from transfer.errors import TransferError, nearest
from transfer.scaling.layout import Layout, Parameter
from transfer.scaling.powers import Power
from transfer.scaling.roles import Role

_ONE = Power()
# Which fans of a role grow with width, and may carry its multiplier.
_FANS = {Role.INPUT: ("out",), Role.HIDDEN: ("in", "out"), Role.OUTPUT: ("in",)}
Shifts = Mapping[Role | str, str | float]


@dataclasses.dataclass(frozen=True)
class Gauge:
    """The theta of every role, a power of the width multipliers, and of single layers, a number.

    A layer is the module that holds a weight: its weight and its multipliers move together.
    """

    roles: tuple[tuple[Role, Power], ...] = ()
    layers: tuple[tuple[str, float], ...] = ()

    def shifted(self, shifts: Shifts) -> "Gauge":
        """Return this gauge times `shifts`; raises `TransferError` for what cannot be shifted."""
        roles, layers = dict(self.roles), dict(self.layers)
        for key, theta in shifts.items():
            if isinstance(theta, str):
                role = _role(key)
                roles[role] = roles.get(role, _ONE) * _power(role, theta)
            else:
                layers[_layer(key)] = layers.get(key, 1.0) * _number(key, theta)
        return Gauge(
            tuple((role, roles[role]) for role in sorted(roles) if roles[role] != _ONE),
            tuple((path, layers[path]) for path in sorted(layers) if layers[path] != 1.0),
        )

    def power(self, role: Role) -> Power:
        """Theta of a role, as a power of the width multipliers."""
        return dict(self.roles).get(role, _ONE)

    def theta(self, parameter: Parameter) -> float:
        """Theta of the layer that a weight or a multiplier belongs to; 1.0 for all else."""
        if parameter.role not in _FANS:
            return 1.0
        return dict(self.layers).get(_owner(parameter.path), 1.0)

    def require(self, layout: Layout) -> None:
        """Raise `TransferError` unless every layer that is shifted holds a weight of the layout."""
        weights = {_owner(path) for path, each in layout.items() if each.role in _FANS}
        for path, _ in self.layers:
            if path in weights:
                continue
            if path in {_owner(each) for each in layout}:
                raise TransferError(
                    f"{path} holds vectors and scalars alone, which carry no multiplier; expected "
                    "a layer with a weight to shift."
                )
            raise TransferError(
                f'The layout holds no layer "{path}"{nearest(path, weights)}; expected the module '
                "of a weight to shift, such as "
                f"{min(weights, default='readout')}."
            )

    def __str__(self) -> str:
        return ", ".join(f"{key} x {theta}" for key, theta in (*self.roles, *self.layers))


def _owner(path: str) -> str:
    return path.rpartition(".")[0] or path


def _role(key: Role | str) -> Role:
    if key not in list(Role):
        raise TransferError(
            f'"{key}" is shifted by a power of the width multipliers but is no role'
            f"{nearest(key, _FANS)}; expected input, hidden or output, or a number for one layer."
        )
    role = Role(key)
    if role not in _FANS:
        raise TransferError(
            f"A {role} carries no multiplier, so it cannot be shifted; expected input, hidden or "
            "output."
        )
    return role


def _power(role: Role, text: str) -> Power:
    try:
        power = Power.parse(text)
    except ValueError as error:
        raise TransferError(
            f'The shift "{text}" of {role} is no power of the width multipliers ({error}); '
            'expected text such as "in^-1/2".'
        ) from None
    if (power.fan_in and "in" not in _FANS[role]) or (power.fan_out and "out" not in _FANS[role]):
        (grows,) = _FANS[role]
        raise TransferError(
            f'The shift "{text}" of {role} names a side that does not grow with width; expected a '
            f'power of "{grows}".'
        )
    return power


def _layer(key: Role | str) -> str:
    if isinstance(key, Role):
        raise TransferError(
            f"The role {key} is shifted by a number; expected a power of the width multipliers as "
            'text, such as "in^-1/2", since at the base width all forms are one.'
        )
    return key


def _number(key: str, theta: float) -> float:
    if not 0 < theta < math.inf:
        raise TransferError(f"{key} is shifted by {theta}; expected a finite number above 0.")
    return float(theta)
