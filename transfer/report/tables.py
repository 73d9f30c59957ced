"""Rows of text as a table, for the terminal, for notebooks and as plain text."""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from transfer.analysis import Estimate
from transfer.markup import html_table
from transfer.text_table import aligned

if TYPE_CHECKING:
    import rich.table

    from transfer.checks import CoordinateCheck

_ORDER = ("weight", "gradient", "update", "activation", "change")


@dataclasses.dataclass(frozen=True)
class Table:
    """A header and rows of text; the first `words` columns are words, the others numbers.

    The last `names` columns are lists of names, which fold where there is little room.
    `folds` names columns whose intervals may stand below their numbers where a terminal is narrow.

    Example:
      >>> print(Table(("width", "best loss"), [("16", "2.390")], words=0).text())
      width  best loss
      16     2.390
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1
    folds: Sequence[str] = ()
    names: int = 0

    def text(self) -> str:
        """Return the table as lines of aligned columns."""
        return "\n".join(aligned([self.header, *self.rows]))

    def html(self, caption: str) -> str:
        """Return the table as HTML."""
        return html_table(caption, [self.header, *self.rows])

    def rich(self) -> "rich.table.Table":
        """Return the table for a terminal: words fold where it is narrow, a number never does."""
        table = terminal_table()
        for place, name in enumerate(self.header):
            if place < self.words or place >= len(self.header) - self.names:
                table.add_column(name, overflow="fold")
                continue
            # Numbers with intervals and numbers without begin in the same place.
            intervals = any(" [" in row[place] for row in self.rows)
            side: Literal["left", "right"] = "left" if intervals else "right"
            table.add_column(name, justify=side, overflow="fold", no_wrap=name not in self.folds)
        for row in self.rows:
            table.add_row(*row)
        return table


def terminal_table() -> "rich.table.Table":
    """Return an empty table in the look of all that are printed."""
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)


def coordinate_table(check: "CoordinateCheck", every: bool = True) -> "rich.table.Table":
    """Return the slope of every size that is not zero, beside the predicted one.

    Arguments:
      check: what was measured.
      every: also list the sizes that agree or are not judged.

    Example:
      >>> rich.print(coordinate_table(check))  # doctest: +SKIP
    """
    table = terminal_table()
    table.add_column("size", overflow="fold")
    for name in ("slope", "predicted", "verdict"):
        table.add_column(name, no_wrap=True)
    measured = sorted(
        (row for row in (check if every else check.open_rows) if row.slope is not None),
        key=lambda row: (_ORDER.index(row.quantity), row.step),
    )
    names = _names(row.name for row in measured)
    for quantity, rows in itertools.groupby(measured, key=lambda row: row.what):
        table.add_section()
        table.add_row(quantity, style="bold")
        for row in rows:
            slope = Estimate(row.slope, row.interval).text("+z.2f")
            style = "bold" if row.verdict in ("differs", "undecided") else None
            table.add_row(f"  {names[row.name]}", slope, row.expected, row.verdict, style=style)
    return table


def _names(paths: Iterable[str]) -> dict[str, str]:
    """Leave out what a layer calls its weight, where the layer's name is enough."""
    paths = set(paths)
    layers = {path: path.rpartition(".")[0] or path for path in paths}
    alone = {path for path in paths if list(layers.values()).count(layers[path]) == 1}
    return {path: layers[path] if path in alone else path for path in paths}
