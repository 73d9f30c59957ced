"""What to train a target with, in words: for a terminal of any width, a file and a notebook."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from transfer.analysis.at_target import HEADER, TargetValues
from transfer.markup import html_paragraph
from transfer.text_table import aligned

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType


@dataclasses.dataclass(frozen=True)
class AdviceText:
    """The words of an advice; prints itself on a rich console of any width.

    Fields:
      sentence: what to do.
      warnings: what speaks against it, a sentence each.
      notes: how sure it is and how to read it, a sentence each.
      values: the absolute values of every role at the target.
      assumed: what it takes for granted, a sentence each.
    """

    sentence: str
    warnings: Sequence[str] = ()
    notes: Sequence[str] = ()
    values: TargetValues | None = None
    assumed: Sequence[str] = ()

    def __rich_console__(
        self, console: "Console", options: "ConsoleOptions"
    ) -> "Iterator[RenderableType]":
        """Sentences that wrap, and the table where it fits or else a sentence for each row."""
        from rich.padding import Padding
        from rich.text import Text

        def under(text: str) -> Padding:
            return Padding(Text(text), (0, 0, 0, 2), expand=False)

        yield Text(self.sentence, style="bold")
        for warning in self.warnings:
            yield Text.assemble(("Warning: ", "bold yellow"), warning)
        yield from map(Text, self.notes)
        if self.values is not None:
            yield Text(self.values.caption)
            head, *rows = aligned([HEADER, *(cells for cells, _ in self.values.lines)])
            if max(map(len, (head, *rows))) > options.max_width:
                yield from map(under, self.values.sentences())
            else:
                yield Text(head)
                for row, (_, named) in zip(rows, self.values.lines, strict=True):
                    yield Text(row)
                    yield under(named)
        if self.assumed:
            yield Text("Assumed:")
            yield from map(under, self.assumed)

    def __str__(self) -> str:
        """The same as lines, for a file."""
        return "\n".join(
            [
                self.sentence,
                *(f"Warning: {each}" for each in self.warnings),
                *self.notes,
                *([str(self.values)] if self.values else []),
                *(["Assumed:"] if self.assumed else []),
                *(f"  {each}" for each in self.assumed),
            ]
        )

    def html(self) -> str:
        """The same as HTML, for notebooks."""
        return "".join(
            [
                html_paragraph("", strong=self.sentence),
                *(html_paragraph(each, strong="Warning:") for each in self.warnings),
                *map(html_paragraph, self.notes),
                self.values._repr_html_() if self.values else "",
                *(html_paragraph(each, strong="Assumed:") for each in self.assumed),
            ]
        )
