"""A table of text: what an object says of itself, aligned for a terminal, HTML in a notebook."""

import dataclasses
from collections.abc import Sequence

from transfer.markup import html_paragraph, html_table


@dataclasses.dataclass(frozen=True)
class TextTable:
    """A caption, rows of which the first is the header, and sentences below.

    Example:
      >>> print(TextTable("Roles", [["of", "role"], ["up", "hidden"]]))
      Roles
      of  role
      up  hidden
    """

    caption: str
    cells: Sequence[Sequence[str]]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join([self.caption, *aligned(self.cells), *self.notes])

    def _repr_html_(self) -> str:
        notes = "".join(html_paragraph(note) for note in self.notes)
        return html_table(self.caption, self.cells) + notes


class Tabular:
    """Base of a class that prints as the table that its `text_table` returns, in notebooks too."""

    def text_table(self) -> TextTable:
        """Return the table that describes this object."""
        raise NotImplementedError

    def __str__(self) -> str:
        return str(self.text_table())

    def _repr_html_(self) -> str:
        return self.text_table()._repr_html_()


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """One line per row, every column as wide as its longest cell.

    Example:
      >>> aligned([["role", "std"], ["hidden", "1"]])
      ['role    std', 'hidden  1']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
