"""The coordinate check's slopes, for the terminal."""

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING

from transfer.report.words import with_interval

if TYPE_CHECKING:
    from rich.table import Table

    from transfer.checks import CoordinateCheck

_ORDER = ("weight", "gradient", "update", "activation", "change")


def coordinate_table(check: "CoordinateCheck") -> "Table":
    """Return the slope of every size that is not zero, beside the predicted one.

    Example:
      >>> rich.print(coordinate_table(check))  # doctest: +SKIP
    """
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("size", overflow="fold")
    for name in ("slope", "predicted", "verdict"):
        table.add_column(name, no_wrap=True)
    measured = sorted(
        (row for row in check if row.slope is not None),
        key=lambda row: (_ORDER.index(row.quantity), row.step),
    )
    names = _names(row.name for row in measured)
    for quantity, rows in itertools.groupby(measured, key=lambda row: row.what):
        table.add_section()
        table.add_row(quantity, style="bold")
        for row in rows:
            assert row.slope is not None
            slope = with_interval(row.slope, row.interval and list(row.interval), "+z.2f")
            style = "bold" if row.verdict in ("differs", "unclear") else None
            table.add_row(f"  {names[row.name]}", slope, row.expected, row.verdict, style=style)
    return table


def _names(paths: Iterable[str]) -> dict[str, str]:
    """Leave out what a layer calls its weight, where the layer's name is enough."""
    paths = set(paths)
    layers = {path: path.rpartition(".")[0] or path for path in paths}
    alone = {path for path in paths if list(layers.values()).count(layers[path]) == 1}
    return {path: layers[path] if path in alone else path for path in paths}
