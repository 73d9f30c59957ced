"""The verdict for the terminal."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transfer.report.verdict_rows import verdict_rows
from transfer.report.words import ANSWERS

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

_COLOURS = {"true": "green", "false": "red", "undecided": "yellow"}


def verdict_table(verdict: Mapping[str, Any]) -> "Group":
    """Return the verdict as rich renderables: per recipe a row per width, then the answer in words.

    Readable from 60 columns on. `lr` is the optimum with its interval, `best` the lowest loss of
    the sweep, `moved` that at the transferred hyperparameters, `regret` their relative difference.

    Example:
      >>> rich.print(verdict_table(verdict))  # doctest: +SKIP
    """
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    parts: list[Any] = []
    for recipe, judged in verdict["recipes"].items():
        answer = judged["transfers"]
        heading = Text.assemble((recipe, "bold"), ": ", (ANSWERS[answer], _COLOURS[answer]))
        parts += [heading, _rows(judged), Padding(Text(judged["reason"]), (0, 0, 1, 2))]
    return Group(*parts)


def _rows(judged: Mapping[str, Any]) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("width", justify="right", no_wrap=True)
    table.add_column("log2 lr", no_wrap=True)
    for name in ("best", "moved", "regret"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in verdict_rows(judged):
        table.add_row(*row)
    return table
