"""Searches replayed on the dense tables: `python -m experiments.adaptive_search.replay`.

Each replay sees the losses of one seed. It keeps what is done in `runs/adaptive_search`, where the
same command resumes, writes `replay.parquet`, a row per replay, method, number of trials and width,
and draws `replay.png`.
"""

import json
import math
import pathlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel

from experiments.adaptive_search.figure import replay_figure
from experiments.adaptive_search.tables import TABLE
from experiments.sublayers import write_rows
from transfer.report.style import to_png
from transfer.scaling import Recipe
from transfer.sweeps.search.box import Box
from transfer.sweeps.search.prior import prior_of
from transfer.sweeps.search.proposals import propose
from transfer.sweeps.search.surrogate import Observations, Surrogate

HERE = pathlib.Path(__file__).parent
REPLAYED = HERE / "replay.parquet"
DONE = pathlib.Path("runs/adaptive_search/replay.jsonl")
COLUMNS = ("network", "method", "trials", "width", "replay", "regret", "oracle")
NAMES = ("learning_rate", "weight_decay")
METHODS = ("random", "stationary", "adaptive")
REPLAYS, BUDGETS, POPULATION = 50, (6, 12), 3
# The narrowest width has no prior and is cheap: a search spends this on it in all cases.
FIRST = 12
# What diverged, or lies so far up, is left out of the fits that score.
_FAR = 0.3


class Dense:
    """The table of a network: log losses (width, cell, seed), and what scores a point."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]):
        self.widths = sorted({row["width"] for row in rows})
        self.seeds = sorted({row["seed"] for row in rows})
        places = sorted({_place(row) for row in rows})
        losses = {(row["width"], _place(row), row["seed"]): row["objective_value"] for row in rows}
        self.box = _box(places, 1.0)
        self.cells = self.box.points
        assert [tuple(cell) for cell in self.cells] == places
        self.logs = np.log(
            [[[losses[w, p, s] for s in self.seeds] for p in places] for w in self.widths]
        )
        self.fine = _box(places, 0.25)
        self.truth = [self._smooth(self.logs[i].mean(axis=1)) for i in range(len(self.widths))]

    def _smooth(self, logs: np.ndarray) -> np.ndarray:
        """A smooth fit of a whole table at the fine points: a stationary Gaussian process."""
        near = logs < np.min(logs) + _FAR
        level = logs[near].mean()
        process = GaussianProcessRegressor(
            ConstantKernel(0.01, (1e-6, 10)) * RBF([2.0, 2.0], (0.7, 30))
            + WhiteKernel(1e-5, (1e-9, 1e-2)),
            n_restarts_optimizer=2,
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            process.fit(self.cells[near], logs[near] - level)
        mean = process.predict(self.fine.points) + level
        # Far from what was fitted, a process returns to its mean.
        apart = np.abs(self.fine.points[:, None] - self.cells[near][None]).max(axis=2).min(axis=1)
        return np.where(apart <= 0.5, mean, np.inf)

    def regret(self, at: int, point: np.ndarray) -> float:
        """What a point loses at a width, by the fit of the mean over seeds."""
        index = int(np.argmin(np.square(self.fine.points - point).sum(axis=1)))
        truth = self.truth[at]
        found = truth[index] if math.isfinite(truth[index]) else truth[np.isfinite(truth)].max()
        return float(np.expm1(found - truth.min()))

    def oracle(self, at: int, seed: int) -> float:
        """The regret of who sees the whole table of one seed, fitted in the same way."""
        smooth = self._smooth(self.logs[at, :, seed])
        return self.regret(at, self.fine.points[int(np.argmin(smooth))])


def adaptive(dense: Dense, seed: int, budget: int, replay: int) -> list[np.ndarray]:
    """The points that the adaptive search recommends, from the narrowest width to the widest."""
    prior = prior_of(Recipe("mup"), "entrywise", NAMES)
    narrowest = float(dense.widths[0])
    cells = {tuple(cell): index for index, cell in enumerate(dense.cells)}
    rows: list[tuple[float, np.ndarray, int, float]] = []
    found = []
    for at, width in enumerate(dense.widths):
        points = dense.box.first(POPULATION, replay) if not rows else None
        for _ in range((budget if at else FIRST) // POPULATION):
            seen = Observations.of(rows, 2)
            if points is None:
                surrogate = Surrogate.fit(seen, dense.box, prior, narrowest)
                points = propose(surrogate, seen, width, width, POPULATION, 1)
            rows += [
                (float(width), point, seed, math.exp(dense.logs[at, cells[tuple(point)], seed]))
                for point in points
            ]
            points = None
        surrogate = Surrogate.fit(Observations.of(rows, 2), dense.fine, prior, narrowest)
        found.append(surrogate.best(width))
    return found


def stationary(dense: Dense, seed: int, budget: int, replay: int) -> list[np.ndarray]:
    """A Gaussian process without a prior: 3 random points, then expected improvement."""
    generator = np.random.default_rng(replay)
    found = []
    for at in range(len(dense.widths)):
        chosen = list(generator.permutation(len(dense.cells))[:3])
        while True:
            logs = _tamed(dense.logs[at, chosen, seed])
            level, spread = logs.mean(), max(logs.std(), 1e-6)
            process = GaussianProcessRegressor(
                Matern([2.0, 2.0], (0.5, 20), nu=2.5) + WhiteKernel(0.01, (1e-4, 1)),
                random_state=0,
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                process.fit(dense.cells[chosen], (logs - level) / spread)
            if len(chosen) == budget:
                break
            mean, deviation = process.predict(dense.cells, return_std=True)
            ahead = ((logs - level) / spread).min() - mean
            deviation = np.maximum(deviation, 1e-9)
            gain = ahead * norm.cdf(ahead / deviation) + deviation * norm.pdf(ahead / deviation)
            gain[chosen] = -np.inf
            chosen.append(int(np.argmax(gain)))
        found.append(dense.fine.points[int(np.argmin(process.predict(dense.fine.points)))])
    return found


def random(dense: Dense, seed: int, budget: int, replay: int) -> list[np.ndarray]:
    """Random cells, of which the best is recommended."""
    generator = np.random.default_rng(replay)
    found = []
    for at in range(len(dense.widths)):
        chosen = generator.permutation(len(dense.cells))[:budget]
        found.append(dense.cells[chosen[int(np.argmin(dense.logs[at, chosen, seed]))]])
    return found


def replayed(dense: Dense, network: str, replay: int) -> list[dict[str, Any]]:
    """All methods with all numbers of trials in one replay."""
    seed = replay % len(dense.seeds)
    oracles = [dense.oracle(at, seed) for at in range(len(dense.widths))]
    rows = []
    for method in METHODS:
        for budget in BUDGETS:
            points = globals()[method](dense, seed, budget, replay)
            rows += [
                {
                    "network": network,
                    "method": method,
                    "trials": budget,
                    "width": width,
                    "replay": replay,
                    "regret": dense.regret(at, points[at]),
                    "oracle": oracles[at],
                }
                for at, width in enumerate(dense.widths)
            ]
    return rows


def summary(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table: mean regret beyond the oracle's from the second width on."""
    lines = [
        "| network | method | trials a width | mean regret | oracle | beyond the oracle | 90 % |",
        "|---|---|---|---|---|---|---|",
    ]
    for network in dict.fromkeys(row["network"] for row in rows):
        for method in METHODS:
            for budget in BUDGETS:
                regret, oracle = beyond(rows, network, method, budget)
                lines.append(
                    f"| {network} | {method} | {budget} | {regret.mean():.2%} | "
                    f"{oracle.mean():.2%} | {(regret - oracle).mean():.2%} | "
                    f"{np.quantile(regret, 0.9):.2%} |"
                )
    return "\n".join(lines)


def beyond(
    rows: Sequence[Mapping[str, Any]], network: str, method: str, budget: int
) -> tuple[np.ndarray, np.ndarray]:
    """Regrets of a method and of the oracle from the second width on (replay and width)."""
    narrowest = min(row["width"] for row in rows if row["network"] == network)
    mine = [
        (row["regret"], row["oracle"])
        for row in rows
        if (row["network"], row["method"], row["trials"]) == (network, method, budget)
        and row["width"] > narrowest
    ]
    regret, oracle = np.array(mine).T
    return regret, oracle


def main() -> None:
    """Replay what is missing, write the table, draw it and print the summary."""
    DONE.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in DONE.read_text().splitlines()] if DONE.exists() else []
    table = pq.read_table(TABLE).to_pylist()
    done = {(row["network"], row["replay"]) for row in rows}
    for network in dict.fromkeys(row["network"] for row in table):
        dense = Dense([row for row in table if row["network"] == network])
        for replay in range(REPLAYS):
            if (network, replay) not in done:
                found = replayed(dense, network, replay)
                with DONE.open("a") as file:
                    file.write("".join(json.dumps(row) + "\n" for row in found))
                rows += found
    write_rows(rows, COLUMNS, REPLAYED)
    (HERE / "replay.png").write_bytes(to_png(replay_figure(rows)))
    print(summary(rows))


def _place(row: Mapping[str, Any]) -> tuple[float, ...]:
    return tuple(round(math.log2(row[name]), 6) for name in NAMES)


def _box(places: Sequence[tuple[float, ...]], step: float) -> Box:
    low, high = np.min(places, axis=0), np.max(places, axis=0)
    return Box(NAMES, tuple(low.tolist()), tuple(high.tolist()), step)


def _tamed(logs: np.ndarray) -> np.ndarray:
    """Log losses with what diverged, or lies far up, as bad as the rest or a third above the best.

    A process without a mean would otherwise spend its length scales on the cliff.
    """
    finite = logs[np.isfinite(logs)]
    ceiling = (finite.min() if len(finite) else 0.0) + _FAR
    return np.minimum(np.where(np.isfinite(logs), logs, ceiling), ceiling)


if __name__ == "__main__":
    main()
