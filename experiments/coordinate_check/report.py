"""Prints the README's table and draws its figure, from the table that `run` wrote.

`python -m experiments.coordinate_check.report`
"""

from collections.abc import Sequence
from typing import Any

import pyarrow.parquet as pq
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from experiments.coordinate_check.run import FAMILIES, FORMS, HERE, TABLE
from transfer.report.style import CATEGORIES, INK, house_style, panels, to_png

# Label, quantity and name of the MLP's slopes.
SHOWN = (
    ("change of layer 1", "change", "layers.0.linear.kernel"),
    ("change of layer 2", "change", "layers.1.linear.kernel"),
    ("change of the logit", "change", "loss"),
    ("logit at init", "activation", "output"),
)
TOLERANCE = 0.12


def main() -> None:
    """Print and draw."""
    rows = pq.read_table(TABLE).to_pylist()
    slopes = {
        (row["form"], row["optimizer"], row["quantity"], row["name"]): row
        for row in rows
        if row["model"] == "mlp" and not row["step"]
    }
    for optimizer in FAMILIES:
        print(f"\n| {optimizer} |", " | ".join(label for label, *_ in SHOWN), "|")
        print("|---" * (len(SHOWN) + 1) + "|")
        for form in FORMS:
            cells = [_cell(slopes[form, optimizer, *what]) for _, *what in SHOWN]
            print(f"| {form} | {' | '.join(cells)} |")
    for row in rows:
        if row["model"] == "transformer" and row["verdict"] in ("differs", "undecided", "unclear"):
            print(row["form"], row["optimizer"], row["quantity"], row["name"], _cell(row))
    shown = [
        slopes[form, optimizer, *what]
        for form in FORMS
        for optimizer in FAMILIES
        for _, *what in SHOWN
    ]
    right = sum(not _off(row) for row in shown)
    claim = f"{right} of {len(shown)} slopes of an MLP are within {TOLERANCE} of theory"
    with house_style():
        figure, axes = panels(list(FAMILIES), claim, 4.4)
        for axis, optimizer in zip(axes, FAMILIES, strict=True):
            _draw(axis, [[slopes[form, optimizer, *what] for _, *what in SHOWN] for form in FORMS])
        axes[0].set_yticks(range(len(FORMS)), list(FORMS))
        axes[0].invert_yaxis()
        handles = [
            Line2D([], [], color=colour, marker="o", linestyle="", label=label)
            for colour, (label, *_) in zip(CATEGORIES, SHOWN, strict=False)
        ]
        handles.append(Line2D([], [], color=INK, marker="|", linestyle="", label="predicted"))
        figure.legend(handles=handles, loc="outside right center")
    (HERE / "slopes.png").write_bytes(to_png(figure))


def _draw(axis: Axes, forms: Sequence[Sequence[dict[str, Any]]]) -> None:
    for place, rows in enumerate(forms):
        for index, row in enumerate(rows):
            y = place + 0.18 * (index - 1.5)
            axis.plot(row["predicted_low"], y, "|", color=INK, markersize=9)
            axis.plot([row["low"], row["high"]], [y, y], "-", color=CATEGORIES[index])
            axis.plot(row["slope"], y, "o", color=CATEGORIES[index], markersize=4)
    axis.set_xlabel("slope of log size over log width")


def _off(row: dict[str, Any]) -> bool:
    return (
        max(row["slope"] - row["predicted_high"], row["predicted_low"] - row["slope"]) > TOLERANCE
    )


def _cell(row: dict[str, Any]) -> str:
    low, high = row["predicted_low"], row["predicted_high"]
    theory = f"{low:+z.2f}" if low == high else f"{low:+z.2f} to {high:+z.2f}"
    text = f"{row['slope']:+z.2f} [{row['low']:+z.2f}, {row['high']:+z.2f}] / {theory}"
    return f"**{text}**" if _off(row) else text


if __name__ == "__main__":
    main()
