"""What `experiments/horizons` says is what its committed tables hold."""

import pyarrow.parquet as pq
import pytest

from experiments.horizons.run import AGREEMENT, HERE, LOSSES
from experiments.horizons.summary import agrees, summary
from experiments.horizons.sweeps import BRANCH_STEPS, HORIZONS, WIDTHS, runs, trunks


@pytest.fixture(scope="module")
def tables():
    return [pq.read_table(file).to_pylist() for file in (LOSSES, AGREEMENT)]


def test_the_readme_shows_the_tables(tables):
    assert summary(*tables) in (HERE / "README.md").read_text()


def test_every_horizon_was_read_off_in_every_way(tables):
    trials, found = tables
    for kind in ("average", "branch", "cosine", "wsd"):
        mine = [row for row in trials if row["kind"] == kind]
        assert len(mine) == len(HORIZONS) * len(WIDTHS) * 7 * 3
    assert len(found) == len(HORIZONS) * len(WIDTHS) * 5 + 2


def test_a_branch_is_the_run_whose_decay_is_as_long(tables):
    trials, _ = tables
    (steps,) = [each for each in HORIZONS if runs(each, "wsd").training.decay_steps == BRANCH_STEPS]
    losses = {
        kind: {
            (row["learning_rate"], row["seed"]): row["eval_loss"]
            for row in trials
            if (row["kind"], row["steps"]) == (kind, steps)
        }
        for kind in ("branch", "wsd")
    }
    # Programs round otherwise, which 200 steps at large rates amplify.
    for key, loss in losses["branch"].items():
        assert loss == pytest.approx(losses["wsd"][key], rel=5e-3)


def test_agreement_asks_for_rank_octaves_and_regret():
    row = {"rank_correlation": 0.95, "octaves": -0.2, "regret": 0.001}
    assert agrees(row)
    for worse in ({"rank_correlation": 0.8}, {"octaves": 0.3}, {"octaves": None}, {"regret": 0.01}):
        assert not agrees(row | worse)
    assert trunks().training.horizons == HORIZONS
