"""How an optimizer's own settings follow batch size and duration.

Where gradients are mostly noise, training is a stochastic differential equation, and runs of
different batch sizes are the same per epoch if they discretise the same one. With kappa = m_batch /
m_tokens, the growth of the batch over that of the number of tokens, and 1 / kappa times the steps,

| setting       | entrywise   | linear | holds                                              |
|---------------|-------------|--------|----------------------------------------------------|
| learning rate | kappa^1/2   | kappa  | drift and diffusion over the run                   |
| weight decay  | kappa^1/2   | 1      | steps * lr * decay                                 |
| epsilon       | kappa^-1/2  | -      | its size over the gradient noise, ~ batch^-1/2     |
| 1 - beta      | kappa       | -      | the share of the run that the averages look back   |
| momentum      | -           | 1      | a memory that is short beside the run              |

A run of more tokens is another equation, not another discretisation: that the same factors serve it
was seen, not derived. They hold the diffusion of the entrywise and the drift of the linear family.

Entrywise means Adam and what divides by an average of squared gradients. The relative and spectral
families are refused: their steps are normalised by the parameter or by the momentum itself, for
which no rule is derived here.

Sources: arXiv 2205.10287 (Adam), 2006.09092 (linear for SGD, square root for adaptive methods),
2512.22382 (Table 1: decay, and tokens beside batch).
"""

import dataclasses
from collections.abc import Mapping
from fractions import Fraction

from transfer.errors import TransferError
from transfer.scaling.powers import Growth, Power
from transfer.scaling.rule import Family

RULES = ("sde",)
_ROOT = Power(steps=Fraction(-1, 2))
_TABLE: Mapping[Family, Mapping[str, Power]] = {
    "entrywise": {
        "learning_rate": _ROOT,
        "weight_decay": _ROOT,
        "epsilon": _ROOT**-1,
        "averaging": _ROOT**2,
    },
    "linear": {"learning_rate": _ROOT**2},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Horizon:
    """Factors of an optimizer's own settings, all 1 at the base batch size and duration.

    `averaging` is that of 1 - beta, for both betas.
    """

    learning_rate: float = 1.0
    weight_decay: float = 1.0
    epsilon: float = 1.0
    averaging: float = 1.0

    def beta(self, base: float) -> float:
        """The beta whose average looks back over the same share of a run.

        Raises `TransferError` where that is less than a step.

        Example:
          >>> round(Horizon(averaging=4.0).beta(0.95), 6)
          0.8
        """
        if self.averaging > 1.0 and self.averaging * (1.0 - base) >= 1.0:
            raise TransferError(
                f"A beta of {base} would have to average over less than a step: 1 - beta grows by "
                f"the {self.averaging:g} by which batch over tokens does; expected a smaller "
                "batch, more tokens or a larger beta."
            )
        return base + (1.0 - base) * (1.0 - self.averaging)


def exponents(rule: str, family: Family) -> dict[str, Power]:
    """The power of the number of steps, 1 / kappa, that each setting takes.

    Without a rule, and for a family that has none, all are 1, and `horizon` refuses other runs.

    Example:
      >>> exponents("sde", "entrywise")["epsilon"], exponents("sde", "linear")["learning_rate"]
      (Power.parse("steps^1/2"), Power.parse("steps^-1"))
    """
    found = dict.fromkeys(("learning_rate", "weight_decay", "epsilon", "averaging"), Power())
    if rule:
        found.update(_TABLE.get(family, {}))
    return found


def horizon(rule: str, family: Family, m_batch: Fraction, m_tokens: Fraction) -> Horizon:
    """Factors at m_batch times the base batch size and m_tokens times the base number of tokens.

    Raises `TransferError` where either is not 1 and there is no rule for it.

    Example:
      >>> horizon("sde", "entrywise", Fraction(4), Fraction(1)).learning_rate
      2.0
      >>> horizon("sde", "linear", Fraction(4), Fraction(1)).learning_rate
      4.0
    """
    if m_batch == m_tokens == 1:
        return Horizon()
    if rule not in RULES:
        raise TransferError(
            f"The batch size is {float(m_batch):g} and the number of tokens {float(m_tokens):g} "
            "times that of the base run, for which the recipe has no rule; expected horizon = sde, "
            "or the base run's own batch size and number of tokens."
        )
    if family not in _TABLE:
        raise TransferError(
            f"The sde rule holds for entrywise and linear optimizers, but this one is {family}: "
            "its steps are normalised in another way; expected AdamW or SGD, or the base run's own "
            "batch size and number of tokens."
        )
    growth = Growth(steps=m_tokens / m_batch)
    return Horizon(**{name: power.at(growth) for name, power in exponents(rule, family).items()})
