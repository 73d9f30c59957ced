"""The papers' tables as numbers, at width multipliers 4 and 3.

Columns: init std, forward multiplier, Adam learning rate under full and no alignment, SGD learning
rate under full and no alignment, gradient of the parameter (which epsilon follows). None stands
where no number is printed.
"""

from transfer.scaling import Role

Cells = tuple[float | None, ...]

_INPUT, _HIDDEN, _OUTPUT, _VECTOR = Role.INPUT, Role.HIDDEN, Role.OUTPUT, Role.VECTOR
_R3 = 1.7320508075688772  # sqrt(3)
_I3 = 0.5773502691896258  # 1 / sqrt(3)

AT_4: dict[str, dict[Role, Cells]] = {
    "standard": {
        _INPUT: (1, 1, 1, 1, 2, 2, 0.5),
        _HIDDEN: (0.5, 1, 0.25, 0.5, 0.5, 1, 0.5),
        _OUTPUT: (0.5, 1, 0.25, 0.5, 0.25, 0.5, 1),
        _VECTOR: (1, 1, 1, 1, 2, 2, 0.5),
    },
    "ntk": {
        _INPUT: (1, 1, 1, 1, 2, 2, 0.5),
        _HIDDEN: (1, 0.5, 0.5, 1, 2, 4, 0.25),
        _OUTPUT: (1, 0.5, 0.5, 1, 1, 2, 0.5),
        _VECTOR: (1, 1, 1, 1, 2, 2, 0.5),
    },
    "mup_table3": {
        _INPUT: (1, 1, 1, None, 4, None, 0.25),
        _HIDDEN: (0.5, 1, 0.25, None, 1, None, 0.25),
        _OUTPUT: (0.25, 1, 0.25, None, 0.25, None, 1),
        _VECTOR: (1, 1, 1, None, 4, None, 0.25),
    },
    "mup": {
        _INPUT: (1, 1, 1, None, 4, None, 0.25),
        _HIDDEN: (0.5, 1, 0.25, None, 1, None, 0.25),
        _OUTPUT: (1, 0.25, 1, None, 4, None, 0.25),
        _VECTOR: (1, 1, 1, None, 4, None, 0.25),
    },
    "mup_table9": {
        _INPUT: (0.5, 2, 0.5, 0.5, 1, 1, 0.5),
        _HIDDEN: (0.5, 1, 0.25, 0.5, 1, 2, 0.25),
        _OUTPUT: (0.5, 0.5, 0.5, 1, 1, 2, 0.5),
        _VECTOR: (1, 1, 1, None, 4, None, 0.25),
    },
    "mean_field": {
        _INPUT: (1, 1, 1, 1, 4, 4, 0.25),
        _HIDDEN: (1, 0.5, 0.5, 1, 4, 8, 0.125),
        _OUTPUT: (1, 0.25, 1, 2, 4, 8, 0.25),
        _VECTOR: (1, 1, 1, None, 4, None, 0.25),
    },
    "unit": {
        _INPUT: (1, 1, 0.5, None, None, None, None),
        _HIDDEN: (1, 0.5, 0.5, None, None, None, None),
        _OUTPUT: (1, 0.25, 1, None, None, None, None),
        _VECTOR: (1, 1, 1, None, None, None, None),
    },
}

AT_3: dict[str, dict[Role, Cells]] = {
    "standard": {
        _INPUT: (1, 1, 1, 1, _R3, _R3, _I3),
        _HIDDEN: (_I3, 1, 1 / 3, _I3, _I3, 1, _I3),
        _OUTPUT: (_I3, 1, 1 / 3, _I3, 1 / 3, _I3, 1),
        _VECTOR: (1, 1, 1, 1, _R3, _R3, _I3),
    },
    "ntk": {
        _INPUT: (1, 1, 1, 1, _R3, _R3, _I3),
        _HIDDEN: (1, _I3, _I3, 1, _R3, 3, 1 / 3),
        _OUTPUT: (1, _I3, _I3, 1, 1, _R3, _I3),
        _VECTOR: (1, 1, 1, 1, _R3, _R3, _I3),
    },
    "mup_table3": {
        _INPUT: (1, 1, 1, None, 3, None, 1 / 3),
        _HIDDEN: (_I3, 1, 1 / 3, None, 1, None, 1 / 3),
        _OUTPUT: (1 / 3, 1, 1 / 3, None, 1 / 3, None, 1),
        _VECTOR: (1, 1, 1, None, 3, None, 1 / 3),
    },
    "mup": {
        _INPUT: (1, 1, 1, None, 3, None, 1 / 3),
        _HIDDEN: (_I3, 1, 1 / 3, None, 1, None, 1 / 3),
        _OUTPUT: (1, 1 / 3, 1, None, 3, None, 1 / 3),
        _VECTOR: (1, 1, 1, None, 3, None, 1 / 3),
    },
    "mup_table9": {
        _INPUT: (_I3, _R3, _I3, _I3, 1, 1, _I3),
        _HIDDEN: (_I3, 1, 1 / 3, _I3, 1, _R3, 1 / 3),
        _OUTPUT: (_I3, _I3, _I3, 1, 1, _R3, _I3),
        _VECTOR: (1, 1, 1, None, 3, None, 1 / 3),
    },
    "mean_field": {
        _INPUT: (1, 1, 1, 1, 3, 3, 1 / 3),
        _HIDDEN: (1, _I3, _I3, 1, 3, 3 * _R3, _I3 / 3),
        _OUTPUT: (1, 1 / 3, 1, _R3, 3, 3 * _R3, 1 / 3),
        _VECTOR: (1, 1, 1, None, 3, None, 1 / 3),
    },
    "unit": {
        _INPUT: (1, 1, _I3, None, None, None, None),
        _HIDDEN: (1, _I3, _I3, None, None, None, None),
        _OUTPUT: (1, 1 / 3, 1, None, None, None, None),
        _VECTOR: (1, 1, 1, None, None, None, None),
    },
}
