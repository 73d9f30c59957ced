"""The loop of `experiments/decay_rules/measured.py`, from committed and from planted tables."""

import json

import pyarrow.parquet as pq
import pytest

from experiments.decay_rules.measured import (
    HERE,
    PROXIES,
    SEEDS,
    SETTINGS,
    TABLE,
    TARGETS,
    arms,
    exponents,
    judge,
    summary,
)

P = {"first": 0.6, "second": 1.0}


def planted(p):
    """sigma_1 by the law under the swept rule and under what its proxies ask for."""

    def rows(setting, arm, widths, slopes):
        return [
            {"setting": setting, "arm": arm, "width": width, "matrix": name, "seed": seed}
            | {"sigma_1": 2.0 * (1 + seed / 9) * _grown(width, p[name] - 0.75, slopes[name])}
            for width in widths
            for name in p
            for seed in range(SEEDS)
        ]

    table = []
    for setting in SETTINGS:
        swept = {name: each - 0.75 for name, each in p.items()}
        table += rows(setting, "swept", (*PROXIES, *TARGETS), swept)
        for arm, calibration in arms(exponents(table, setting)).items():
            chosen = dict(zip(calibration.paths, calibration.exponents, strict=True))
            slopes = {name: p[name] - (1 + chosen[name]) / 2 for name in p}
            table += rows(setting, arm, TARGETS, slopes)
    return table


def _grown(width, below, beyond):
    return (min(width, 128) / 32) ** below * max(width / 128, 1) ** beyond


def test_the_loop_closes_where_the_law_holds():
    verdict = judge(planted(P))
    for judged in verdict.values():
        assert judged["exponent_for_all"] == pytest.approx(0.6)
        for width in map(str, TARGETS):
            assert judged["from_level"]["by matrix"][width] == pytest.approx(0.0, abs=1e-9)
            assert judged["from_level"]["one for all"][width] == pytest.approx(0.2)
            # p - 3/4 is -0.15 and 0.25.
            assert judged["from_level"]["swept"][width] == pytest.approx((0.085 / 2) ** 0.5)


def test_the_committed_loop_is_that_of_the_committed_table():
    committed = json.loads((HERE / "verdict.json").read_text())["measured"]
    assert judge(pq.read_table(TABLE).to_pylist()) == committed
    text = (HERE / "README.md").read_text()
    assert all(line in text for line in summary(committed).splitlines())
