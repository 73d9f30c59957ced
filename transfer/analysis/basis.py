"""What an answer rests on: seeds, widths, and values tried of the axis in question."""

import dataclasses
from collections.abc import Mapping
from typing import Any

# Below these an answer is tentative: two widths fit every line, and two seeds leave one degree of
# freedom for the noise of a setting.
ENOUGH_SEEDS = 3
ENOUGH_WIDTHS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Basis:
    """How much data an answer rests on.

    Fields:
      seeds: that every setting has, at the width with the fewest.
      widths: with a decided optimum.
      values: of the axis, at the width with the fewest.

    Example:
      >>> Basis(seeds=2, widths=2, values=8).tentative
      '2 seeds, 2 widths'
      >>> Basis(seeds=3, widths=4, values=8).tentative is None
      True
    """

    seeds: int
    widths: int
    values: int

    @property
    def tentative(self) -> str | None:
        """The reason why an answer is tentative, or None: fewer than three seeds or widths."""
        if self.seeds >= ENOUGH_SEEDS and self.widths >= ENOUGH_WIDTHS:
            return None
        return f"{_count(self.seeds, 'seed')}, {_count(self.widths, 'width')}"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON; `tentative` is there to be read and is derived again on reading."""
        return dataclasses.asdict(self) | {"tentative": self.tentative}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Basis":
        """Read what `to_json` wrote.

        Example:
          >>> Basis.from_json(Basis(seeds=1, widths=2, values=8).to_json())
          Basis(seeds=1, widths=2, values=8)
        """
        return cls(seeds=content["seeds"], widths=content["widths"], values=content["values"])


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"
