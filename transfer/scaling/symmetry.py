"""The symmetry between forms: a layer's multiplier times theta, its weights over theta.

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
from collections.abc import Mapping

from transfer.scaling.rule import Family, Rule

_RATE: Mapping[Family, int] = {"entrywise": -1, "linear": -2, "relative": 0, "spectral": -1}


def exponents(family: Family) -> dict[str, int]:
    """The power of theta that each column of a rule takes.

    Example:
      >>> exponents("linear")["learning_rate"], exponents("linear")["weight_decay"]
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


def shift(rule: Rule, theta: float, family: Family) -> Rule:
    """The rule of the same layer with its multiplier times theta: the same training run.

    The clip weight is converted as that of the invariant norm.

    Example:
      >>> from transfer.scaling.roles import Role
      >>> table_8 = Rule(Role.OUTPUT, 1.0, 0.25, 1.0, 0.0, 0.25, 4.0)
      >>> shift(table_8, 4.0, "entrywise")  # is Table 3
      Rule(role=<Role.OUTPUT: 'output'>, std=0.25, multiplier=1.0, learning_rate=0.25, \
weight_decay=0.0, epsilon=1.0, clip=0.25)
    """
    return dataclasses.replace(
        rule,
        **{
            column: getattr(rule, column) * theta**power
            for column, power in exponents(family).items()
        },
    )
