"""Text as HTML for notebooks: escaped, and in the colours and fonts of the page it stands on."""

import dataclasses
import html
from collections.abc import Sequence

# Jupyter aligns cells to the right, which suits numbers alone. Nothing here sets a colour.
_LEFT = 'style="text-align: left"'
_CAPTION = 'style="text-align: left; caption-side: top; font-weight: bold"'


@dataclasses.dataclass(frozen=True)
class Html:
    """Markup that shows itself in a notebook."""

    content: str

    def _repr_html_(self) -> str:
        return self.content


def html_table(caption: str, cells: Sequence[Sequence[str]]) -> str:
    """Return rows of text as a table, the first of them its header.

    The first cell of each row names it, which a screen reader says beside every other.

    Example:
      >>> html_table("Roles", [["of", "role"], ["up", "hidden"]]).count("<th ")
      3
    """
    header, *rows = cells
    head = "".join(f'<th scope="col" {_LEFT}>{html.escape(cell)}</th>' for cell in header)
    body = "\n".join(f"<tr>{_row(row)}</tr>" for row in rows)
    return (
        f"<table>\n<caption {_CAPTION}>{html.escape(caption)}</caption>\n"
        f"<thead>\n<tr>{head}</tr>\n</thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    )


def html_paragraph(text: str, *, strong: str = "") -> str:
    """Return a sentence as a paragraph, after a word that stands out.

    Example:
      >>> html_paragraph("r < 1/2", strong="kernel")
      '<p><strong>kernel</strong> r &lt; 1/2</p>'
    """
    first = f"<strong>{html.escape(strong)}</strong> " if strong else ""
    return f"<p>{first}{html.escape(text)}</p>"


def _row(cells: Sequence[str]) -> str:
    name, *values = cells
    rest = "".join(f"<td {_LEFT}>{html.escape(value)}</td>" for value in values)
    return f'<th scope="row" {_LEFT}>{html.escape(name)}</th>{rest}'
