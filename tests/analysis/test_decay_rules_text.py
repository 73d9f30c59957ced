"""What a transformer says of the decay rules, by the code of `experiments/decay_rules`."""

import json
import math

import pyarrow.parquet as pq
import pytest
from refusals import refused

from experiments.decay_rules.judge import QUANTITIES
from experiments.decay_rules.run import HERE
from experiments.decay_rules.text import (
    HYPERPARAMETERS,
    SEEDS,
    STEPS,
    TABLE,
    WIDTHS,
    experiment,
    groups,
)
from experiments.decay_rules.text_figure import text_figure
from experiments.decay_rules.text_judge import COMMON, OWN, SWEPT, exponents, judge
from experiments.decay_rules.text_summary import summary
from transfer.analysis import predicted_slope
from transfer.scaling import Recipe, Role

P = {"query": 0.75, "up": 0.85, "down": 1.0}
WIDEST, WIDEST_PROXY = max(WIDTHS), sorted(WIDTHS)[-2]


def planted(p, decay_times=4.0):
    """A table like the experiment's in which sigma_1 follows width with a p for each kind.

    The arms keep sigma_1 from the widest proxy on as its law says. Sizes rise over training.
    """

    def row(arm, recipe, width, step, seed, kind, size):
        return {
            "arm": arm,
            "recipe": recipe,
            "width": width,
            "step": step,
            "decay_times": decay_times * step / STEPS,
            "seed": seed,
            "kind": kind,
            "eval_loss": 2.0,
            "equilibrium_rms": 1.0,
            **dict.fromkeys(QUANTITIES, size * (1 + seed / 9) * (step / STEPS) ** 0.3),
        }

    steps = (STEPS // 2, STEPS)
    rules = [
        row("rule", rule, width, step, seed, kind,
            (width / WIDEST) ** (predicted_slope(Recipe.parse(rule)) + p[kind] - 0.75))
        for rule in HYPERPARAMETERS
        for width in WIDTHS
        if width < WIDEST or rule in (SWEPT, "standard")
        for step in steps
        for seed in SEEDS
        for kind in p
    ]  # fmt: skip
    doublings = math.log2(WIDEST / WIDEST_PROXY)
    arms = [
        row(arm, "mup+measured", WIDEST, step, seed, kind,
            2 ** -((by_kind[kind] - 0.5) / 2 * doublings))
        for arm, by_kind in exponents(rules).items()
        for step in steps
        for seed in SEEDS
        for kind in p
    ]  # fmt: skip
    return rules + arms


def test_the_verdict_finds_the_p_that_was_planted_for_each_kind():
    verdict = judge(planted(P))
    for rule, judged in verdict["rules"].items():
        for compared in ("at_equal_steps", "at_equal_decay_times"):
            for kind, p in P.items():
                found = judged[compared]["measured"][kind]["p"]["value"]
                assert found == pytest.approx(p, abs=2e-3), rule
                off = abs(p - 0.75) >= 0.125
                assert judged[compared][kind]["sigma_1"]["agrees"] is not off
    assert verdict["rules"][SWEPT]["at_equal_steps"]["query"]["invariance"] == "invariant"
    assert verdict["rules"]["standard"]["at_equal_steps"]["down"]["invariance"] == "differs"
    assert "**" in summary(verdict)
    assert "**" not in summary(judge(planted(dict.fromkeys(P, 0.75)))).split("| sublayer")[0]


def test_exponents_by_kind_are_level_where_one_for_all_is_not():
    found = judge(planted(P))["calibrated"]
    assert found["exponents"][OWN] == pytest.approx({k: 2 * p - 1 for k, p in P.items()}, abs=2e-3)
    assert found["exponents"][COMMON]["up"] == pytest.approx(2 * sum(P.values()) / 3 - 1, abs=2e-3)
    for what in ("by_law", "by_runs"):
        level = {arm: each["from_level"] for arm, each in found[what].items()}
        level = {arm: each if what == "by_law" else each["value"] for arm, each in level.items()}
        assert level[OWN] == pytest.approx(0, abs=2e-3)
        assert level[COMMON] > 0.05
    assert found["own_beats_common_by"]["interval"][0] > 0.05
    # The control: where one p holds for all, nothing is gained.
    same = judge(planted(dict.fromkeys(P, 0.9)))["calibrated"]
    assert same["own_beats_common_by"]["value"] == pytest.approx(0, abs=2e-3)


def test_runs_that_have_not_settled_are_not_judged():
    with refused(2.5):
        judge(planted(P, decay_times=2.5))


def test_rules_meet_at_the_widest():
    asked = experiment()
    layout = asked.layout(WIDEST).parameters
    path = next(path for path, each in layout.items() if each.role == Role.HIDDEN)
    found = {}
    for rule, (learning_rate, weight_decay) in HYPERPARAMETERS.items():
        factors = asked.recipe.build(rule).rules(layout, "entrywise")[path]
        found[rule] = learning_rate * factors.learning_rate, weight_decay * factors.weight_decay
    assert {tuple(round(x, 12) for x in pair) for pair in found.values()} == {(2.0**-8, 0.25)}
    widest = [group for group in groups(asked) if group.shape.width == WIDEST]
    assert {group.recipe_names for group in widest} == {SWEPT, "standard"}


def test_the_committed_verdict_is_that_of_the_committed_table():
    table = pq.read_table(TABLE).to_pylist()
    committed = json.loads((HERE / "verdict.json").read_text())["transformer"]
    assert judge(table) == committed
    assert len(text_figure(table, committed).axes) == 3
    # The control: a rule's rows under another rule's name.
    names = {"mup+constant": "mup+independent", "mup+independent": "mup+constant"}
    swapped = [{**row, "recipe": names.get(row["recipe"], row["recipe"])} for row in table]
    agree = [
        each["answer"]["at_equal_steps"]["sigma_1"]["agree"] for each in (committed, judge(swapped))
    ]
    assert agree[1] < agree[0]
