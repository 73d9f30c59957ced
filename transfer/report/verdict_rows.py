"""What a verdict says of each width, as text."""

from collections.abc import Mapping
from typing import Any

from transfer.report.words import with_interval


def verdict_rows(judged: Mapping[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Return per width: the width, the optimum with its interval, best loss, moved loss, regret.

    Example:
      >>> judged = {
      ...     "optimum_log2_learning_rate": {"16": {"value": -4.2, "interval": [-4.3, -4.1]}},
      ...     "best_loss": {"16": 2.39},
      ...     "zero_shot": {"32": {"loss": 2.2, "relative_regret": None}},
      ... }
      >>> for row in verdict_rows(judged):
      ...     print(row)
      ('16', '-4.20 [-4.30, -4.10]', '2.390', '-', '-')
      ('32', 'not tuned', '-', '2.200', '-')
    """
    optima, zero_shots = judged["optimum_log2_learning_rate"], judged["zero_shot"]
    rows = []
    for width in sorted({*optima, *zero_shots}, key=int):
        shot = zero_shots.get(width, {})
        rows.append(
            (
                width,
                _optimum(optima.get(width, {})),
                _number(judged["best_loss"].get(width), ".3f"),
                _number(shot.get("loss"), ".3f"),
                _number(shot.get("relative_regret"), "+.2%"),
            )
        )
    return rows


def _optimum(optimum: Mapping[str, Any]) -> str:
    if not optimum:
        return "not tuned"
    if optimum["value"] is None:
        return "undecided"
    return with_interval(optimum["value"], optimum["interval"])


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"
