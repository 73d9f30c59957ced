"""How residual blocks follow depth.

Each of the L blocks adds a branch to the stream, x + m^-alpha f(x), where m = L / base depth. What
lies in the blocks then takes, on top of what width asks for,

| column        | times         | for                                                          |
|---------------|---------------|--------------------------------------------------------------|
| learning_rate | m^(alpha-1)   | L m^-alpha lr, the step of the stream; all but linear        |
|               | m^(2 alpha-1) | the same per gradient; linear                                |
| epsilon       | m^-alpha      | the size of the gradient, which has come through the branch  |
| clip          | m^(2 alpha-1) | the blocks' share of the clipped norm, clip L m^(-2 alpha)   |

with alpha = 1 for `completep` and 1/2 for `depth_mup`. Init and all that lies outside the blocks
stay as they are. Decay follows its own rule (`transfer.scaling.decay`): `independent` and the
families other than entrywise hold lr * decay; the other rules leave decay as it is, which is what
the tables of the papers print.

Sources: arXiv 2505.01618 (Table 1), 2512.22382 (Table 1), for Adam. The linear column is the same
two equations solved for a step of lr times the gradient.
"""

from collections.abc import Mapping
from fractions import Fraction

from transfer.scaling.powers import Power
from transfer.scaling.rule import Family

ALPHA: Mapping[str, Fraction] = {"completep": Fraction(1), "depth_mup": Fraction(1, 2)}


def exponents(rule: str, family: Family) -> dict[str, Power]:
    """The power of depth that each column takes inside the blocks; `branch` is their multiplier.

    Without a rule (an empty one) all are 1, and another depth than the base's is to be refused.

    Example:
      >>> {name: str(power) for name, power in exponents("depth_mup", "entrywise").items()}
      {'branch': 'depth^-1/2', 'learning_rate': 'depth^-1/2', 'epsilon': 'depth^-1/2', 'clip': '1'}
    """
    if not rule:
        return dict.fromkeys(("branch", "learning_rate", "epsilon", "clip"), Power())
    alpha = ALPHA[rule]
    linear = 2 * alpha - 1
    return {
        "branch": Power(depth=-alpha),
        "learning_rate": Power(depth=linear if family == "linear" else alpha - 1),
        "epsilon": Power(depth=-alpha),
        "clip": Power(depth=linear),
    }
