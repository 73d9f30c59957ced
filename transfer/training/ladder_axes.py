"""The axes of a ladder: sizes beside width at which a sweep is repeated."""

import dataclasses

from transfer.errors import TransferError


@dataclasses.dataclass(frozen=True, kw_only=True)
class LadderAxes:
    """Depths, batch sizes and lengths at which a sweep is repeated; empty for the run's own.

    A sweep with any of them is a ladder: it trains its grid at every combination, a rung each, of
    width, depth, batch size and number of tokens.

    Fields:
      layers: stacked layers of the model.
      batch_sizes: in windows or images. Without `tokens` every batch size trains on as many tokens
        as the configuration says.
      tokens: of a whole run; a labeled image counts as one. They take the place of
        `training.steps`, of which warmup and decay keep their share.

    Raises `TransferError` for a size below 1, or one that is listed twice.

    Example:
      >>> LadderAxes(batch_sizes=(8, 16)).is_ladder, LadderAxes().is_ladder
      (True, False)
    """

    layers: tuple[int, ...] = ()
    batch_sizes: tuple[int, ...] = ()
    tokens: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for field in dataclasses.fields(LadderAxes):
            values = getattr(self, field.name)
            if any(value < 1 for value in values) or len(set(values)) < len(values):
                raise TransferError(
                    f"sweep.{field.name} is {values}; expected whole numbers of at least 1, none "
                    "twice, or nothing for the run's own."
                )

    @property
    def is_ladder(self) -> bool:
        """Whether there is any axis beside width."""
        return bool(self.layers or self.batch_sizes or self.tokens)
