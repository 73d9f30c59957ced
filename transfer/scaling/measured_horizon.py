"""How learning rate and decay follow batch size and number of tokens, as a ladder measured it.

With B and D the batch size and number of tokens of a run, and B0 and D0 those of the base run,

  learning rate ~ (b(B, D) / b(B0, D0))^rate_batch  (D / D0)^rate_tokens
  decay         ~ (B / B0)^decay_batch              (D / D0)^decay_tokens

where b is B, or with a knee min(B, best(D)): above the best batch the best learning rate no longer
grows. The best batch, with which a run of D tokens ends at the lowest loss, is

  best(D) = best_batch (D / D0)^best_tokens.

Betas and epsilon stay as they were when the ladder was trained.
"""

import dataclasses
import math
from fractions import Fraction

from transfer.errors import TransferError, require_known
from transfer.scaling.horizon import RULES, Horizon

MEASURED = "measured"


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasuredHorizon:
    """The exponents of a ladder, and which batch sizes it covers.

    Fields:
      batch_size, tokens: of the base run, in windows or images and over the whole run; 0 where
        nothing was measured, and no recipe takes that.
      rate_batch, rate_tokens: exponents of the learning rate.
      decay_batch, decay_tokens: those of the decay; 0 where decay was not swept, which leaves it.
      best_batch, best_tokens: the best batch at the base run's tokens, and its exponent; a best
        batch of 0 is unknown.
      knee: whether the learning rate follows the batch no further than the best one.
      least, most: of the ladder, batch over best batch; where the best one is unknown, batch.
      lengths: how many numbers of tokens were swept; with one, no other is allowed.

    Raises `TransferError` for numbers that are not finite, and sizes that are none.

    Example:
      >>> measured = MeasuredHorizon(
      ...     batch_size=8, tokens=2**16, rate_batch=0.5, rate_tokens=-0.25, least=4.0, most=64.0
      ... )
      >>> measured.at(Fraction(4), Fraction(16)).learning_rate
      1.0
    """

    batch_size: int = 0
    tokens: int = 0
    rate_batch: float = 0.0
    rate_tokens: float = 0.0
    decay_batch: float = 0.0
    decay_tokens: float = 0.0
    best_batch: float = 0.0
    best_tokens: float = 0.0
    knee: bool = False
    least: float = 0.0
    most: float = 0.0
    lengths: int = 2

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            is_size = field.name in ("batch_size", "tokens", "best_batch", "least", "most")
            if not math.isfinite(value) or (is_size and value < 0):
                raise TransferError(
                    f"The measured horizon has {field.name} = {value}; expected a finite number"
                    f"{' of at least 0' if is_size else ''}, as transfer predict writes it."
                )
        if self.knee and not self.best_batch:
            raise TransferError(
                "The measured horizon has a knee but no best_batch; expected both, as transfer "
                "predict writes them."
            )

    def __str__(self) -> str:
        return MEASURED

    @property
    def is_measured(self) -> bool:
        """Whether it is that of a ladder, and not empty."""
        return bool(self.batch_size and self.tokens)

    def best(self, tokens: float) -> float:
        """The best batch for a number of tokens; 1 where it is unknown.

        Example:
          >>> measured = MeasuredHorizon(batch_size=8, tokens=100, best_batch=16.0, best_tokens=0.5)
          >>> measured.best(400)
          32.0
        """
        if not self.best_batch:
            return 1.0
        return self.best_batch * math.pow(tokens / self.tokens, self.best_tokens)

    def at(self, m_batch: Fraction, m_tokens: Fraction) -> Horizon:
        """Factors at m_batch times the base batch size and m_tokens times the base tokens.

        Raises `TransferError` where the ladder does not cover the batch over the best batch there.
        """
        if m_batch == m_tokens == 1:
            return Horizon()
        if m_tokens != 1 and self.lengths < 2:
            raise TransferError(
                f"The ladder has one number of tokens, {self.tokens}, so that nothing is known of "
                f"{float(m_tokens) * self.tokens:g}; expected the same, or a ladder of several in "
                "sweep.tokens."
            )
        self._require_covered(float(m_batch) * self.batch_size, float(m_tokens) * self.tokens)
        return self.factors(m_batch, m_tokens)

    def factors(self, m_batch: Fraction, m_tokens: Fraction) -> Horizon:
        """As `at`, also where the ladder does not cover it."""
        grown, longer = float(m_batch), float(m_tokens)
        rate_batch = grown
        if self.knee:
            here = min(grown * self.batch_size, self.best(longer * self.tokens))
            rate_batch = here / min(float(self.batch_size), self.best(self.tokens))
        return Horizon(
            learning_rate=math.pow(rate_batch, self.rate_batch)
            * math.pow(longer, self.rate_tokens),
            weight_decay=math.pow(grown, self.decay_batch) * math.pow(longer, self.decay_tokens),
        )

    def _require_covered(self, batch: float, tokens: float) -> None:
        best = self.best(tokens)
        # Rounding of the exponents must not refuse the ladder's own ends.
        if self.least * (1 - 1e-6) <= batch / best <= self.most * (1 + 1e-6):
            return
        low, high = math.ceil(self.least * best - 1e-6), math.floor(self.most * best + 1e-6)
        if self.best_batch:
            said = (
                f"is {batch / best:.3g} times the best one, {best:.3g}, for {tokens:.3g} tokens, "
                f"and the ladder covers {self.least:.3g} to {self.most:.3g} times it"
            )
        else:
            said = "lies outside the ladder, which knows no best batch"
        raise TransferError(
            f"The batch size {batch:g} {said}; expected a batch of {low} to {high}, or a ladder "
            "with batch sizes on either side."
        )


def named_rule(rule: str | MeasuredHorizon) -> str:
    """Return the rule that `transfer.scaling.horizon` knows; empty where a ladder takes its place.

    Example:
      >>> named_rule("sde"), named_rule(MeasuredHorizon(batch_size=8, tokens=100))
      ('sde', '')
    """
    return "" if isinstance(rule, MeasuredHorizon) else rule


def require_horizon(rule: str | MeasuredHorizon) -> None:
    """Raise `TransferError` for a rule that is unknown, or a ladder that has measured nothing."""
    empty = isinstance(rule, MeasuredHorizon) and not rule.is_measured
    if rule == MEASURED or empty:
        raise TransferError(
            'The horizon "measured" has no exponents of its own; expected those of a ladder: sweep '
            "batch sizes and tokens, and let `transfer predict` write the hyperparameters for "
            "`transfer train`."
        )
    if isinstance(rule, str):
        require_known("horizon", rule, RULES, optional=True)
