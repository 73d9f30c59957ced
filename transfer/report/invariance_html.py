"""Whether top singular values are invariant, for notebooks."""

from collections.abc import Mapping
from typing import Any

from transfer.markup import html_paragraph, html_table
from transfer.report.words import invariance, with_interval

_HEADER = ("sublayer", "slope of sigma_1", "predicted", "verdict", "p", "2p - 1")


def invariance_html(verdict: Mapping[str, Any]) -> str:
    """Return per recipe a row per sublayer: its slope over width, what it says, its p and 2p - 1.

    Example:
      >>> invariance_html({"recipes": {"mup": {"spectrum_slope": {}}}})
      '<p><strong>mup:</strong> no singular values at two widths</p>'
    """
    return "\n".join(
        _recipe(recipe, judged["spectrum_slope"]) for recipe, judged in verdict["recipes"].items()
    )


def _recipe(recipe: str, slopes: Mapping[str, Any]) -> str:
    if not slopes:
        return html_paragraph("no singular values at two widths", strong=f"{recipe}:")
    rows = [
        (
            name,
            with_interval(slope["value"], slope["interval"], "+z.2f"),
            f"{slope['predicted']:+z.2f}",
            slope["invariance"],
            *(_estimate(slope[key]) for key in ("p", "decay_exponent")),
        )
        for name, slope in slopes.items()
    ]
    return html_table(f"{recipe}: {invariance(slopes)}", [_HEADER, *rows])


def _estimate(estimate: Mapping[str, Any]) -> str:
    if estimate["value"] is None:
        return "-"
    return with_interval(estimate["value"], estimate["interval"])
