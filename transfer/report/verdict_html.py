"""The verdict for notebooks."""

from collections.abc import Mapping
from typing import Any

from transfer.markup import html_paragraph, html_table
from transfer.report.verdict_rows import verdict_rows
from transfer.report.words import ANSWERS

_HEADER = ("width", "log2 of the best learning rate", "best loss", "moved", "regret")


def verdict_html(verdict: Mapping[str, Any]) -> str:
    """Return the verdict as HTML: per recipe the answer, its reason, and a row per width.

    `moved` is the loss at the hyperparameters of the next narrower width, `regret` by how much it
    is above the best.

    Example:
      >>> judged = {
      ...     "transfers": "true",
      ...     "reason": "It transfers: the slope is +0.01.",
      ...     "optimum_log2_learning_rate": {"16": {"value": -4.2, "interval": None}},
      ...     "best_loss": {"16": 2.39},
      ...     "zero_shot": {},
      ... }
      >>> verdict_html({"recipes": {"mup+sqrt": judged}}).count("<td")
      4
    """
    return "\n".join(
        html_table(f"{recipe}: {ANSWERS[judged['transfers']]}", [_HEADER, *verdict_rows(judged)])
        + html_paragraph(judged["reason"])
        for recipe, judged in verdict["recipes"].items()
    )
