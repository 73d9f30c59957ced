"""What every parameter of a target is trained with, as absolute values."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from transfer.notation import learning_rate
from transfer.scaling import Role
from transfer.text_table import Tabular, TextTable, aligned

HEADER = ("role", "learning rate", "decay", "epsilon", "init std", "multiplier")
# So many parameters of a row are named.
_NAMED = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetRow:
    """Parameters of one role that are trained with the same values.

    Fields:
      role: of the parameters, or what else has a multiplier (attention logits, residual branches).
      parameters: by path.
      learning_rate: the peak, with the schedule still to come; None for what is not trained.
      weight_decay: decoupled, so that a parameter loses learning_rate * weight_decay a step.
      epsilon: beside the root of the second moment; None for an optimizer without one.
      init_std: None for a constant.
      multiplier: of the parameter in the forward pass.
    """

    role: str
    parameters: tuple[str, ...]
    learning_rate: float | None
    weight_decay: float | None
    epsilon: float | None
    init_std: float | None
    multiplier: float

    @property
    def values(self) -> tuple[float | None, ...]:
        """All five numbers, in the order of the table."""
        return (
            self.learning_rate,
            self.weight_decay,
            self.epsilon,
            self.init_std,
            self.multiplier,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetValues(Tabular):
    """All that the optimizer, the init and the forward pass of a target use: nothing is a factor.

    `settings` are the optimizer's own, such as its betas at the target's batch size and length.
    """

    width: int
    optimizer: str
    settings: Mapping[str, float]
    rows: tuple[TargetRow, ...]

    @classmethod
    def gathered(
        cls, width: int, optimizer: str, settings: Mapping[str, float], rows: Sequence[TargetRow]
    ) -> "TargetValues":
        """Make the table from a row for each parameter: those of the same values are one."""
        found: dict[tuple[object, ...], TargetRow] = {}
        for row in rows:
            key = (row.role, *row.values)
            before = found[key].parameters if key in found else ()
            found[key] = dataclasses.replace(row, parameters=(*before, *row.parameters))
        ordered = sorted(found.values(), key=lambda row: _place(row.role))
        return cls(width=width, optimizer=optimizer, settings=settings, rows=tuple(ordered))

    @property
    def caption(self) -> str:
        """Where the values hold, for which optimizer with which settings of its own."""
        settings = ", ".join(f"{name} {value:.6g}" for name, value in self.settings.items())
        beside = f" with {settings}" if settings else ""
        return f"At width {self.width}, absolute values for {self.optimizer}{beside}:"

    @property
    def lines(self) -> list[tuple[list[str], str]]:
        """Per row the cells that `HEADER` names, and the parameters in words."""
        lines = []
        for row in self.rows:
            rate = "-" if row.learning_rate is None else learning_rate(row.learning_rate, 4)
            numbers = ["-" if value is None else f"{value:.4g}" for value in row.values[1:]]
            named = ", ".join(row.parameters[:_NAMED])
            more = len(row.parameters) - _NAMED
            lines.append(
                ([row.role, rate, *numbers], named + (f" and {more} more" if more > 0 else ""))
            )
        return lines

    def text_table(self) -> TextTable:
        """Return the table, a row for the parameters of one role with the same values."""
        rows = [[*cells, named] for cells, named in self.lines]
        return TextTable(self.caption, [[*HEADER, "parameters"], *rows])

    def __str__(self) -> str:
        """The table in 80 columns: the parameters of a row stand below it."""
        head, *rows = aligned([HEADER, *(cells for cells, _ in self.lines)])
        named = [f"{row}\n  {named}" for row, (_, named) in zip(rows, self.lines, strict=True)]
        return "\n".join([self.caption, head, *named])

    def sentences(self) -> list[str]:
        """Return the rows as sentences, for where the table is too wide."""
        sentences = []
        for (role, *numbers), named in self.lines:
            known = zip(HEADER[1:], numbers, strict=True)
            told = ", ".join(f"{name} {number}" for name, number in known if number != "-")
            sentences.append(f"{role}: {told}; {named}")
        return sentences

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, read back by `from_json`."""
        return {
            "width": self.width,
            "optimizer": self.optimizer,
            "settings": dict(self.settings),
            "rows": [
                dataclasses.asdict(row) | {"parameters": list(row.parameters)} for row in self.rows
            ],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "TargetValues":
        """Read what `to_json` wrote."""
        rows = [dict(row) | {"parameters": tuple(row["parameters"])} for row in content["rows"]]
        return cls(**{**content, "rows": tuple(TargetRow(**row) for row in rows)})


def _place(role: str) -> int:
    """Where a role stands in the order of `Role`; what is no role of a parameter comes last."""
    roles = [each.value for each in Role]
    return roles.index(role) if role in roles else len(roles)
