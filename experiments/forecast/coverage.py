"""How often a forecast's interval holds what comes: `python -m experiments.forecast.coverage`.

Writes `coverage.parquet`, one row per scenario, number of widths and reach, and `coverage.png`
beside this file, and prints the table of the README. It takes three minutes on one core, and
resumes. `--table` reads the committed table instead of drawing, `--again` draws all anew.
"""

import argparse
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from experiments.forecast.figure import coverage_figure
from experiments.forecast.scenarios import SCENARIOS, Scenario, draw
from transfer.analysis import ScalingLaw
from transfer.report.style import to_png

TABLE = pathlib.Path(__file__).parent / "coverage.parquet"
NUMBERS_OF_WIDTHS = (5, 6, 8)
# How many times as wide as the widest proxy the target is.
REACHES = (1.5, 2.0, 4.0, 8.0)
DRAWS = 150


def measure(scenario: Scenario, widths: int, reach: float, draws: int = DRAWS) -> dict[str, object]:
    """Return shares of draws: how often each interval holds, and how near forecasts come.

    `plug_in` is the naive interval, which takes the law for known and only the noise for random.
    `warned` counts the draws in which the held-out widest proxy lies outside its own interval.
    """
    generator = np.random.default_rng([SCENARIOS.index(scenario), widths, round(2 * reach)])
    rows = []
    for _ in range(draws):
        drawn = draw(scenario, widths, reach, generator)
        law = ScalingLaw.fit(drawn.points)
        middle = law.at(drawn.target)
        of_law, of_mean, of_one = (
            law.interval(drawn.target, runs) for runs in (None, scenario.seeds, 1)
        )
        narrower, widest = ScalingLaw.fit(drawn.points[:-1]), drawn.points[-1]
        test = narrower.interval(widest.size, scenario.seeds)
        naive = 1.96 * law.variance**0.5 * middle
        rows.append(
            (
                of_law[0] <= drawn.truth <= of_law[1],
                of_mean[0] <= drawn.mean <= of_mean[1],
                of_one[0] <= drawn.single <= of_one[1],
                abs(middle - drawn.mean) <= naive,
                abs(middle / drawn.mean - 1) <= 0.01,
                abs(middle / drawn.mean - 1),
                (of_mean[1] - of_mean[0]) / 2 / middle,
                not test[0] <= widest.loss <= test[1],
            )
        )
    found = np.array(rows, float)
    means = found.mean(axis=0)
    return {
        "scenario": scenario.name,
        "in_family": scenario.in_family,
        "widths": widths,
        "reach": reach,
        "draws": draws,
        "law": means[0],
        "mean": means[1],
        "one_run": means[2],
        "plug_in": means[3],
        "within_1_percent": means[4],
        "warned": means[7],
        "median_error": float(np.median(found[:, 5])),
        "median_half_width": float(np.median(found[:, 6])),
    }


def table(rows: list[dict[str, object]]) -> str:
    """Return the table of the README: a line per scenario, its worst and mean coverage."""
    lines = [
        "| scenario | reach | covered, mean of seeds | lowest | covered, one run | naive | "
        "warned | median error | half width |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in dict.fromkeys(row["scenario"] for row in rows):
        for reaches in ((1.5, 2.0), (4.0, 8.0)):
            mine = [row for row in rows if row["scenario"] == name and row["reach"] in reaches]

            def mean(key: str, mine: list[dict[str, object]] = mine) -> float:
                return float(np.mean([row[key] for row in mine]))

            lowest = min(row["mean"] for row in mine)
            lines.append(
                f"| {name} | {reaches[0]:g} to {reaches[1]:g} | {100 * mean('mean'):.0f} % | "
                f"{100 * lowest:.0f} % | {100 * mean('one_run'):.0f} % | "
                f"{100 * mean('plug_in'):.0f} % | {100 * mean('warned'):.0f} % | "
                f"{100 * mean('median_error'):.2f} % | "
                f"{100 * mean('median_half_width'):.2f} % |"
            )
    return "\n".join(lines)


def main() -> None:
    """Measure all, write and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", action="store_true", help="do not draw, read the table")
    parser.add_argument("--again", action="store_true", help="draw what is there already, too")
    asked = parser.parse_args()
    rows = pq.read_table(TABLE).to_pylist() if TABLE.exists() and not asked.again else []
    if not asked.table:
        done = {(row["scenario"], row["draws"]) for row in rows}
        rows = [row for row in rows if row["draws"] == DRAWS]
        for scenario in SCENARIOS:
            if (scenario.name, DRAWS) in done:
                continue
            rows += [
                measure(scenario, widths, reach)
                for widths in NUMBERS_OF_WIDTHS
                for reach in REACHES
            ]
            pq.write_table(pa.Table.from_pylist(rows), TABLE)
    TABLE.with_suffix(".png").write_bytes(to_png(coverage_figure(rows)))
    print(table(rows))


if __name__ == "__main__":
    main()
