"""An extrapolation changes what the recipe changes, and says on what evidence."""

import dataclasses

import pytest
from refusals import refused

from transfer.scaling import Recipe, Scale, extrapolate

PROXY = Scale(width=64, layers=2, batch_size=16, tokens=10**6)
TARGET = Scale(width=256, layers=8, batch_size=64, tokens=16 * 10**6)
RULED = Recipe("mup", depth="completep", horizon="sde")


def along(recipe, family="entrywise", base=PROXY, **target):
    return extrapolate(recipe, family, PROXY, dataclasses.replace(PROXY, **target), base)


def test_every_axis_that_changes_is_told_in_turn():
    found = extrapolate(RULED, "entrywise", PROXY, TARGET, PROXY)
    assert [(each.axis, each.factor, each.evidence.level) for each in found] == [
        ("width", 4, "theory"),
        ("width", 4, "empirical"),
        ("depth", 4, "theory"),
        ("batch", 4, "empirical"),
        ("tokens", 16, "empirical"),
    ]
    assert all(each.evidence.source.startswith("arXiv") for each in found)
    assert all(each.evidence.validity.endswith(".") for each in found)
    assert extrapolate(RULED, "entrywise", PROXY, PROXY, PROXY) == ()


def test_width_as_printed():
    rates, decay = along(Recipe("mup"), width=256)
    assert rates.effects == {
        "embedding epsilon": 0.25,
        "hidden init std": 0.5,
        "hidden learning rate": 0.25,
        "hidden epsilon": 0.25,
        "gain epsilon": 0.25,
        "readout multiplier": 0.25,
        "readout epsilon": 0.25,
    }
    assert decay.effects == {"hidden weight decay": 2.0}
    assert "a fit" in decay.evidence.validity


@pytest.mark.parametrize(
    ("rule", "effects"),
    [
        (
            "completep",
            {"branch multiplier": 0.25, "hidden epsilon": 0.25, "gain epsilon": 0.25},
        ),
        (
            "depth_mup",
            {
                "branch multiplier": 0.5,
                "hidden learning rate": 0.5,
                "gain learning rate": 0.5,
                "hidden epsilon": 0.5,
                "gain epsilon": 0.5,
            },
        ),
    ],
)
def test_depth_as_printed(rule, effects):
    (found,) = along(Recipe("mup", depth=rule), layers=8)
    assert (found.effects, found.start, found.target) == (effects, 2, 8)


def test_batch_and_tokens_as_printed():
    (batch,) = along(RULED, batch_size=64)
    (tokens,) = along(RULED, tokens=4 * 10**6)
    assert batch.effects == {
        "learning rate": 2,
        "weight decay": 2,
        "epsilon": 0.5,
        "1 - beta": 4,
        "steps": 0.25,
    }
    assert tokens.effects == {name: 1 / factor for name, factor in batch.effects.items()}


def test_batch_and_tokens_that_grow_alike_cancel():
    batch, tokens = along(RULED, batch_size=64, tokens=4 * 10**6)
    for name, factor in batch.effects.items():
        assert factor * tokens.effects[name] == 1


def test_sgd_has_columns_of_its_own():
    rates, decay = along(Recipe("mup"), "linear", width=256)
    assert rates.effects["embedding learning rate"] == 4
    assert "hidden learning rate" not in rates.effects
    assert decay.effects == {}
    (batch,) = along(RULED, "linear", batch_size=64)
    assert batch.effects == {"learning rate": 4, "steps": 0.25}


@pytest.mark.parametrize(
    ("name", "rates", "decay"),
    [
        ("mup+sqrt", "theory", "empirical"),
        ("mup+constant", "theory", "none"),
        ("mean_field+0.6", "theory", "empirical"),
        ("mup/none+independent", "empirical", "empirical"),
        ("standard", "none", "none"),
        ("standard/full", "empirical", "none"),
    ],
)
def test_how_far_a_width_can_be_trusted(name, rates, decay):
    found = along(Recipe.parse(name), width=256)
    assert [each.evidence.level for each in found] == [rates, decay]


def test_a_measured_decay_names_the_power_it_was_measured_for():
    _, decay = along(Recipe("mup", decay=0.6), width=256)
    assert "width^0.8" in decay.evidence.validity


def test_factors_are_those_from_the_base_and_the_way_is_that_from_the_proxy():
    base = Scale(width=32, layers=1, batch_size=4, tokens=10**6)
    width, decay = along(Recipe("mup"), base=base, width=256)
    assert (width.start, width.target, width.base, width.factor) == (64, 256, 32, 4)
    # 8 times as wide as the base, of which the proxy has taken 2.
    assert width.effects["hidden learning rate"] == 1 / 8
    assert decay.effects == {"hidden weight decay": 8**0.5}
    (depth,) = along(RULED, base=base, layers=8)
    assert (depth.factor, depth.effects["branch multiplier"]) == (4, 1 / 8)
    (batch,) = along(RULED, base=base, batch_size=64)
    assert (batch.factor, batch.effects["learning rate"]) == (4, 16**0.5)


def test_a_target_of_the_base_run_changes_nothing():
    base = dataclasses.replace(PROXY, batch_size=64)
    (batch,) = along(RULED, base=base, batch_size=64)
    assert batch.effects == {}
    assert "nothing changes" in str(batch)


def test_an_extrapolation_reads_as_two_lines():
    (found,) = along(RULED, batch_size=64)
    first, second = str(found).splitlines()
    assert first.startswith(
        "batch 16 -> 64 (x 4); over the base run's batch 16: learning rate x 2, weight decay x 2, "
    )
    assert second.startswith("  empirical, arXiv 2205.10287")


@pytest.mark.parametrize(
    ("target", "names"),
    [
        ({"layers": 8}, (8, 2, "recipe.depth", "depth_mup")),
        ({"batch_size": 64}, (64, "recipe.horizon")),
        ({"tokens": 1}, (1, "recipe.horizon")),
    ],
)
def test_an_axis_without_a_rule_is_refused(target, names):
    with refused(*names):
        along(Recipe("mup"), **target)
