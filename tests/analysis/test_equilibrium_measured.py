"""Gains and singular values at one width, by the code of `experiments/equilibrium`."""

import json
import math

import pyarrow.parquet as pq
import pytest

from experiments.equilibrium.figure import equilibrium_figure
from experiments.equilibrium.judge import FEED_FORWARD, HALFWAY, PAPER, THEORY, halfway, judge
from experiments.equilibrium.run import ARMS, DECAY, HERE, LEARNING_RATE, SLOW, STEPS, TABLE
from experiments.equilibrium.summary import summary

KINDS = ("attention.query", "feed_forward.up", "feed_forward.down")


def planted(exponent):
    """A table like the experiment's in which all sizes are (lr / decay)^exponent."""
    return [
        {"arm": arm, "seed": seed, "step": step, "kind": kind, "eval_loss": 2.0}
        | {"decay_times": step * LEARNING_RATE * DECAY * rate * decay}
        | {f"sigma_{k}": (1 + seed / 9) * (rate / decay) ** exponent / k for k in (1, 2, 3, 4)}
        | {"gain": (rate / decay) ** exponent, "rms": (rate / decay) ** exponent}
        | dict.fromkeys(("alignment", "stable_rank", "equilibrium_rms"), 1.0)
        for arm, (rate, decay) in (ARMS | SLOW).items()
        for step in (0, STEPS, *([2 * STEPS] if arm in SLOW else []))
        for seed in range(2)
        for kind in KINDS
    ]


def test_theory_is_the_root_of_learning_rate_over_decay():
    assert set(PAPER) | {"base"} == set(THEORY) == set(ARMS | SLOW)
    for arm, (rate, decay) in (ARMS | SLOW).items():
        assert THEORY[arm] == pytest.approx((rate / decay) ** 0.5, rel=1e-12)


@pytest.mark.parametrize(("exponent", "agree"), [(0.5, 15), (0.6, 15), (0.0, 9), (1.0, 9)])
def test_the_verdict_finds_the_exponent_that_was_planted(exponent, agree):
    verdict = judge(planted(exponent))
    # Three arms share lr / decay with the base, so that any exponent agrees there.
    assert verdict["answer"]["sigma_1"] == {
        "agree": agree,
        "of": len(KINDS) * len(PAPER),
        "furthest_factor": verdict["answer"]["sigma_1"]["furthest_factor"],
    }
    for found in verdict["exponents"].values():
        assert found["gain"]["decay"]["value"] == pytest.approx(-exponent, abs=1e-3)
        assert found["gain"]["lr_times_decay"]["value"] == pytest.approx(0, abs=1e-3)
    assert ("**" in summary(verdict)) is (agree < 15)


def test_theory_is_halfway_after_a_third_of_a_decay_time():
    times = [0.05 * k for k in range(80)]
    rows = [
        {"arm": "base", "kind": FEED_FORWARD, "seed": seed, "step": k, "decay_times": t}
        | {"gain": math.sqrt(9 - 8 * math.exp(-2 * t))}
        for seed in range(2)
        for k, t in enumerate(times)
    ]
    assert halfway(rows, "base", "gain")["value"] == pytest.approx(HALFWAY, abs=0.002)
    # The control: a quarter of the speed; and one that is there at the second measurement.
    slow = [{**row, "decay_times": 4 * row["decay_times"]} for row in rows]
    assert halfway(slow, "base", "gain")["value"] == pytest.approx(4 * HALFWAY, abs=0.01)
    assert halfway(rows[::20], "base", "gain") is None


def test_a_run_of_fewer_than_three_decay_times_is_unsettled_until_it_went_on():
    verdict = judge(planted(0.5))
    assert [arm for arm, settled in verdict["settled"].items() if not settled] == ["both / 2"]
    assert verdict["after_longer"]["both / 2"]["decay_times"] > 3


def test_the_committed_verdict_is_that_of_the_committed_table():
    table = pq.read_table(TABLE).to_pylist()
    committed = json.loads((HERE / "verdict.json").read_text())
    assert judge(table) == committed
    assert committed["seeds"] == 3
    assert set(committed["at_equal_steps"][FEED_FORWARD]) == set(PAPER)
    assert len(equilibrium_figure(table, committed).axes) == 3
    # The control: with the halved and the doubled decay exchanged the ratios are not theory's.
    swapped = {"decay / 2": "decay x 2", "decay x 2": "decay / 2"}
    wrong = judge([{**row, "arm": swapped.get(row["arm"], row["arm"])} for row in table])
    assert wrong["answer"]["sigma_1"]["agree"] < committed["answer"]["sigma_1"]["agree"]
