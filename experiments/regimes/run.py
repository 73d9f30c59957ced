"""Holds the regime classifier against random networks: `python -m experiments.regimes.run`.

Writes `slopes.parquet`, one row per network and quantity, and `slopes.png` beside this file, and
prints how often measured and predicted slopes agree, and every case in which they do not.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import track

from experiments.regimes import network, predictions, sets
from experiments.regimes.figure import slopes_figure
from experiments.regimes.summary import summary
from transfer.cli import platform
from transfer.report.style import to_png
from transfer.scaling import Exponents, RegimeReport, classify_regime

HERE = pathlib.Path(__file__).parent
WIDTHS = (64, 128, 256, 512, 1024, 2048, 4096)
FITTED = WIDTHS[2:]
SEEDS = 16
# A slope agrees when the multiple of 1/4 nearest to it is the predicted one.
TOLERANCE = 1 / 8

Logs = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Group:
    """Networks of one family that are measured together, after the same number of steps."""

    part: str
    verdicts: Sequence[RegimeReport]
    steps: int

    def logs(self, width: int, seed: int) -> Logs:
        """Logarithms of all that is measured, one number a network."""
        networks = [verdict.exponents for verdict in self.verdicts]
        measured = network.measure(networks, steps=self.steps, width=width, seed=seed)
        return {name: np.log(values) for name, values in measured.items()}


def groups() -> list[Group]:
    """Two steps of the unstable: the second one's gradient has passed an updated readout."""
    sent_back = sets.sent_back(32, seed=0)
    return [
        *(
            group
            for family in ("linear", "entrywise")
            for group in (
                Group("stable", sets.stable(family, each=32, seed=0), steps=4),
                Group("unstable", sets.unstable(family, each=8, seed=0), steps=2),
            )
        ),
        Group("sent back", sent_back, steps=2),
        Group("sent back", sent_back, steps=4),
    ]


def stacked(logs: Sequence[Sequence[Logs]]) -> Logs:
    """Arrays by width, seed and network, from `Group.logs` by width and seed."""
    return {
        name: np.array([[measured[name] for measured in seeds] for seeds in logs])
        for name in logs[0][0]
    }


def slopes(logs: np.ndarray, widths: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Slope over log width of each network with its standard error over seeds."""
    each = np.polyfit(np.log(widths), logs.reshape(len(widths), -1), 1)[0].reshape(logs.shape[1:])
    return each.mean(axis=0), each.std(axis=0, ddof=1) / len(each) ** 0.5


def rows(group: Group, logs: Logs) -> list[dict]:
    """The table's rows of one group."""
    fits = {name: slopes(values[-len(FITTED) :], FITTED) for name, values in logs.items()}
    table = []
    for k, verdict in enumerate(group.verdicts):
        if verdict.stable:
            asked = predictions.stable(verdict)
        else:
            asked = dict([predictions.broken(verdict, verdict.violations[0])])
            # A bound has no slope of its own: of all that should not grow, what grows fastest.
            fastest = max(predictions.held(verdict), key=lambda name: fits[name][0][k])
            asked[fastest] = None
        for quantity, predicted in asked.items():
            slope, error = (float(fit[k]) for fit in fits[quantity])
            table.append(
                {
                    "part": group.part,
                    "steps": group.steps,
                    "family": verdict.exponents.family,
                    "network": str(verdict.exponents),
                    "regime": str(verdict.regime),
                    "condition": "".join(v.condition.name for v in verdict.violations),
                    "quantity": quantity,
                    "predicted": None if predicted is None else float(predicted),
                    "slope": slope,
                    "standard_error": error,
                    "agrees": slope < TOLERANCE
                    if predicted is None
                    else abs(slope - float(predicted)) < TOLERANCE,
                    "rms": np.exp(logs[quantity][:, :, k].mean(axis=1)).tolist(),
                }
            )
    return table


def measured(asked: Sequence[Group]) -> list[dict]:
    """The rows of all groups."""
    logs: list[list[list[Logs]]] = [[] for _ in asked]
    # Width and seed outside: the draws of a width are made once for all groups.
    for width in track(WIDTHS, description="widths"):
        seeds = [[group.logs(width, seed) for group in asked] for seed in range(SEEDS)]
        for k, by_width in enumerate(logs):
            by_width.append([found[k] for found in seeds])
    return [
        row
        for group, by_width in zip(asked, logs, strict=True)
        for row in rows(group, stacked(by_width))
    ]


def second_looks(table: Sequence[dict]) -> list[Group]:
    """Every stable network with a disagreement, with its weaker terms taken out."""
    found = dict.fromkeys(
        (row["network"], row["family"])
        for row in table
        if row["part"] == "stable" and not row["agrees"]
    )
    verdicts = [classify_regime(Exponents.parse(*network)) for network in found]
    return [Group("isolated", sets.isolated(verdict), steps=4) for verdict in verdicts]


def main() -> None:
    """Measure, write the table and the figure, print the summary."""
    table = measured(groups())
    table += measured(second_looks(table))
    pq.write_table(pa.Table.from_pylist(table), HERE / "slopes.parquet")
    (HERE / "slopes.png").write_bytes(to_png(slopes_figure(table, TOLERANCE)))
    print(summary(table, TOLERANCE))


if __name__ == "__main__":
    platform.prepare()
    main()
