"""Singular values over width, for the terminal."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transfer.report.words import with_interval

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table


def spectrum_table(verdict: Mapping[str, Any]) -> "Group":
    """Return sigma_1 of each sublayer by width, its slope and the predicted one, per recipe.

    A recipe without spectra at two widths says so. Slopes are of log2 sigma_1 over log2 width, with
    the interval over seeds.

    Example:
      >>> rich.print(spectrum_table(verdict))  # doctest: +SKIP
    """
    from rich.console import Group
    from rich.text import Text

    parts: list[Any] = []
    for recipe, judged in verdict["recipes"].items():
        slopes = judged["spectrum_slope"]
        parts.append(Text.assemble((recipe, "bold"), ": ", _state(slopes)))
        if slopes:
            parts += [_rows(slopes), Text()]
    return Group(*parts)


def _state(slopes: Mapping[str, Any]) -> str:
    if not slopes:
        return "no singular values at two widths"
    first = next(iter(slopes.values()))
    rate = f"at log2 lr {first['log2_learning_rate']:.4g}"
    settled = all(slope["settled"] for slope in slopes.values())
    # The prediction is for runs that have lasted long enough to forget their init.
    warning = "" if settled else ", not settled yet"
    return f"slope of sigma_1 predicted {first['predicted']:+z.2f} {rate}{warning}"


def _rows(slopes: Mapping[str, Any]) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("sublayer", overflow="fold")
    widths = list(next(iter(slopes.values()))["values"])
    for width in widths:
        table.add_column(width, justify="right", no_wrap=True)
    table.add_column("slope", no_wrap=True)
    for name, slope in slopes.items():
        values = (f"{slope['values'][width]:.2f}" for width in widths)
        table.add_row(name, *values, with_interval(slope["value"], slope["interval"], "+z.2f"))
    return table
