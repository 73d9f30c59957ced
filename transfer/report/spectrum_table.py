"""Singular values over width, for the terminal."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transfer.report.words import invariance, with_interval

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table


def spectrum_table(verdict: Mapping[str, Any]) -> "Group":
    """Return sigma_1 of each sublayer by width, its slope and what it says, per recipe.

    A recipe without spectra at two widths says so. Slopes are of log2 sigma_1 over log2 width, with
    the interval over seeds. A second table has the verdict on each sublayer, its p and the decay
    exponent that it implies; a recipe whose runs have not settled has none.

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
            if all(slope["settled"] for slope in slopes.values()):
                parts += [_verdicts(slopes), Text()]
            else:
                # Runs that have not settled have not settled for all sublayers.
                parts += [Text(next(iter(slopes.values()))["reason"]), Text()]
    return Group(*parts)


def _state(slopes: Mapping[str, Any]) -> str:
    if not slopes:
        return "no singular values at two widths"
    first = next(iter(slopes.values()))
    rate = f"at log2 lr {first['log2_learning_rate']:.4g}"
    predicted = f"slope of sigma_1 predicted {first['predicted']:+z.2f} {rate}"
    return f"{predicted}, {invariance(slopes)}"


def _verdicts(slopes: Mapping[str, Any]) -> "Table":
    table = _table()
    table.add_column("verdict", no_wrap=True)
    table.add_column("p", no_wrap=True)
    table.add_column("2p - 1", justify="right", no_wrap=True)
    for name, slope in slopes.items():
        p, exponent = slope["p"], slope["decay_exponent"]["value"]
        known = exponent is not None
        numbers = (with_interval(p["value"], p["interval"]), f"{exponent:z.2f}") if known else ()
        table.add_row(name, slope["invariance"], *numbers)
    return table


def _table() -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("sublayer", overflow="fold")
    return table


def _rows(slopes: Mapping[str, Any]) -> "Table":
    table = _table()
    widths = list(next(iter(slopes.values()))["values"])
    for width in widths:
        table.add_column(width, justify="right", no_wrap=True)
    table.add_column("slope", no_wrap=True)
    for name, slope in slopes.items():
        values = (f"{slope['values'][width]:.2f}" for width in widths)
        table.add_row(name, *values, with_interval(slope["value"], slope["interval"], "+z.2f"))
    return table
