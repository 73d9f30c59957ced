"""Decay exponents by matrix, closed into a loop: `python -m experiments.decay_rules.measured`.

Measures exponents on pairs trained under `mup+sqrt`, verifies them on the widest, and trains pairs
twice and four times as wide under them, under one exponent for both matrices and under the swept
rule. Writes `measured.parquet` and the part `measured` of `verdict.json`, and prints the table of
the README. `--judge` judges the committed table anew without training.
"""

import argparse
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import track

from experiments.decay_rules.pair import BASE_WIDTH, NAMES, Pair, trained
from experiments.decay_rules.run import FACTORS, HERE, write_verdict
from transfer.analysis import Calibrated, calibrate, slope_over_seeds
from transfer.analysis.calibrate import spread
from transfer.cli import platform
from transfer.scaling import Calibration, Recipe

TABLE = HERE / "measured.parquet"
SETTINGS = ("ReLU, normalised output", "as is")
SWEPT = Recipe("mup", decay="sqrt")
PROXIES = (32, 64, 128)
TARGETS = (256, 512)
SEEDS = 5
# All widths train for as many steps as give the widest so many decay times under the swept rule.
DECAY_TIMES = 6

Sigma = dict[str, dict[int, dict[int, float]]]


def steps(pair: Pair) -> int:
    """Length of every run of a pair."""
    return round(DECAY_TIMES / pair.decay_per_step(pair.layout(max(TARGETS)), SWEPT))


def rows(setting: str, arm: str, recipe: Recipe, width: int) -> list[dict[str, Any]]:
    """One row per matrix and seed, at the end of training."""
    pair = FACTORS[setting]
    found = trained(pair, recipe, width, SEEDS, [steps(pair)])
    return [{"setting": setting, "arm": arm, "width": width, **row} for row in found]


def sigma_1(table: Iterable[Mapping[str, Any]], setting: str, arm: str) -> Sigma:
    """Top singular values by matrix, width and seed."""
    found: Sigma = {name: defaultdict(dict) for name in NAMES}
    for row in table:
        if (row["setting"], row["arm"]) == (setting, arm):
            found[row["matrix"]][row["width"]][row["seed"]] = row["sigma_1"]
    return found


def exponents(table: Iterable[Mapping[str, Any]], setting: str) -> Calibrated:
    """What the proxies of a setting ask for."""
    pair = FACTORS[setting]
    times = {
        width: steps(pair) * pair.decay_per_step(pair.layout(width), SWEPT) for width in PROXIES
    }
    return calibrate(sigma_1(table, setting, "swept"), SWEPT, times, BASE_WIDTH)


def arms(found: Calibrated) -> dict[str, Calibration]:
    """The exponents that are tried on the targets beside the swept rule."""
    own = tuple(2 * (found.measured[name].p.value or 0.0) - 1 for name in NAMES)
    return {
        "by matrix": Calibration(paths=NAMES, exponents=own, swept=0.5, widest=_widest()),
        "one for all": Calibration(
            paths=NAMES, exponents=(found.common,) * len(NAMES), swept=0.5, widest=_widest()
        ),
    }


def measure() -> Iterator[list[dict[str, Any]]]:
    """Train the proxies of every setting, and then its targets under what they ask for."""
    for setting in SETTINGS:
        proxies = [row for width in PROXIES for row in rows(setting, "swept", SWEPT, width)]
        yield proxies
        for width in TARGETS:
            yield rows(setting, "swept", SWEPT, width)
            for arm, calibration in arms(exponents(proxies, setting)).items():
                yield rows(setting, arm, Recipe("mup", decay=calibration), width)


def judge(table: list[dict[str, Any]]) -> dict[str, Any]:
    """Return by setting and arm the slope of sigma_1 from the widest proxy to each target."""
    verdict: dict[str, Any] = {}
    for setting in SETTINGS:
        found = exponents(table, setting)
        anchor = {name: by[max(PROXIES)] for name, by in sigma_1(table, setting, "swept").items()}
        slopes = {
            arm: {
                str(width): {
                    name: slope_over_seeds(
                        {max(PROXIES): _log2(anchor[name]), width: _log2(by_width[width])}
                    ).to_json()
                    for name, by_width in sigma_1(table, setting, arm).items()
                }
                for width in TARGETS
            }
            for arm in ("swept", "one for all", "by matrix")
        }
        verdict[setting] = {
            "p": {name: each.p.to_json() for name, each in found.measured.items()},
            "exponent_for_all": found.common,
            "notes": list(found.notes),
            "slopes": slopes,
            "from_level": {
                arm: {
                    width: spread({name: each["value"] for name, each in by_name.items()})
                    for width, by_name in by_width.items()
                }
                for arm, by_width in slopes.items()
            },
        }
    return verdict


def summary(verdict: Mapping[str, Any]) -> str:
    """Return the table of the README."""
    head = "| setting | decay | target | first | second | from level |"
    lines = [head, "| --- | --- | --- | --- | --- | --- |"]
    for setting, judged in verdict.items():
        for arm, by_width in judged["slopes"].items():
            for width, by_name in by_width.items():
                cells = [
                    f"{each['value']:+z.2f} [{each['interval'][0]:+z.2f}, "
                    f"{each['interval'][1]:+z.2f}]"
                    for each in by_name.values()
                ]
                level = f"{judged['from_level'][arm][width]:.2f}"
                lines.append("| " + " | ".join([setting, arm, width, *cells, level]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, write the table and the verdict, print the summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judge", action="store_true", help="do not train, read the table")
    if not parser.parse_args().judge:
        total = len(SETTINGS) * (1 + 3 * len(TARGETS))
        found = [row for part in track(measure(), total=total) for row in part]
        pq.write_table(pa.Table.from_pylist(found), TABLE)
    verdict = judge(pq.read_table(TABLE).to_pylist())
    write_verdict("measured", verdict)
    print(summary(verdict))
    for setting, judged in verdict.items():
        print(setting, *judged["notes"], sep="\n  ")


def _widest() -> float:
    return max(PROXIES) / BASE_WIDTH


def _log2(by_seed: Mapping[int, float]) -> dict[int, float]:
    return {seed: math.log2(value) for seed, value in by_seed.items()}


if __name__ == "__main__":
    platform.prepare()
    main()
