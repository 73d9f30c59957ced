"""The rungs of a ladder: what is trained at each, and what is refused."""

import dataclasses
import itertools

import numpy as np
import pytest
from refusals import refused

from transfer.config import read
from transfer.data import DataConfig, load_dataset
from transfer.sweeps import declared_groups, load_for
from transfer.sweeps.rungs import at_rung, rungs

LADDER = {
    "base_width": 16,
    "model": {"width": 64, "layers": 2, "head_dim": 8},
    "data": {"name": "synthetic", "sequence_length": 16, "batch_size": 8},
    "training": {"steps": 40, "warmup": 10, "decay_steps": 4, "schedule": "wsd"},
    "sweep": {
        "widths": [16, 32],
        "recipes": ["mup+sqrt"],
        "space": {"learning_rate": [0.01, 0.02]},
        "batch_sizes": [16, 4],
        "tokens": [4096, 2048],
        "layers": [1, 2],
    },
}


def configuration(**changes):
    """The ladder with changes to its sweep, or of dotted keys."""
    content = {name: dict(value) if isinstance(value, dict) else value for name, value in
               LADDER.items()}  # fmt: skip
    for key, value in changes.items():
        section, _, name = key.rpartition("__")
        if section:
            content[section][name] = value
        else:
            content[key] = value
    return read(content)


def test_there_is_a_group_for_every_combination_of_sizes():
    groups = declared_groups(configuration())
    shapes = [group.shape for group in groups]

    assert len({group.name for group in groups}) == len(groups) == 2 * 2 * 2 * 2
    assert {(s.width, s.layers, s.batch_size, s.tokens) for s in shapes} == set(
        itertools.product((16, 32), (1, 2), (4, 16), (2048, 4096))
    )
    for shape in shapes:
        assert shape.steps * shape.batch_size * 16 == shape.tokens
    assert [shape.width for shape in shapes] == sorted(shape.width for shape in shapes)
    assert groups[0].rung == "1 layers, batch 4, 2048 tokens"


def test_warmup_and_decay_keep_their_share_of_a_run():
    # 40 steps of 8 windows are 5,120 tokens.
    rung = at_rung(configuration(), batch_size=4, tokens=10240)
    assert rung.training.steps == 160
    assert (rung.training.warmup, rung.training.decay_steps) == (40, 16)
    assert not rung.sweep.is_ladder


def test_without_tokens_batch_sizes_train_on_the_same_tokens():
    experiment = configuration(sweep__tokens=[], sweep__layers=[])
    assert [(r.data.batch_size, r.training.steps) for r in rungs(experiment)] == [(4, 80), (16, 20)]


def test_a_rung_names_its_trials_as_a_plain_sweep_of_its_size_does():
    ladder = configuration(sweep__layers=[])
    plain = configuration(
        data__batch_size=16, training__steps=16, training__warmup=4, training__decay_steps=2,
        sweep__layers=[], sweep__batch_sizes=[], sweep__tokens=[],
    )  # fmt: skip
    names = {g.trial_name(t) for g in declared_groups(ladder) for t in g.trials}
    mine = {g.trial_name(t) for g in declared_groups(plain) for t in g.trials}
    assert mine < names


def test_a_sweep_without_other_sizes_is_its_own_only_rung():
    experiment = configuration(sweep__layers=[], sweep__batch_sizes=[], sweep__tokens=[])
    assert rungs(experiment) == [experiment]
    assert {group.rung for group in declared_groups(experiment)} == {""}


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"sweep__tokens": [0]}, ("sweep.tokens", 0)),
        ({"sweep__batch_sizes": [4, 4]}, ("sweep.batch_sizes",)),
        ({"sweep__layers": [-1]}, ("sweep.layers", -1)),
        ({"sweep__tokens": [1000]}, ("1000", 64)),
        ({"sweep__search": "adaptive"}, ("adaptive", "batch_sizes")),
        ({"training__tokens_per_parameter": 1.0}, ("training.tokens_per_parameter",)),
        ({"base_batch_size": 8}, ("base_batch_size", 8)),
        ({"base_tokens": 2048}, ("base_tokens", 2048)),
        ({"model": {"kind": "resnet"}, "data": {"kind": "images"}}, ("sweep.layers", "resnet")),
    ],
)
def test_a_ladder_that_could_not_be_what_it_lists_is_refused(changes, names):
    with refused(*names):
        declared_groups(configuration(**changes))


def test_all_batch_sizes_see_the_same_examples_in_the_same_order():
    dataset = load_dataset(DataConfig(name="synthetic", sequence_length=16, batch_size=4))
    whole = dataset.in_batches_of(16)
    four = dataset.batches(seed=3)

    assert np.array_equal(next(whole.batches(seed=3)), np.concatenate([next(four) for _ in "1234"]))
    for each in (dataset, whole):
        assert each.eval_batches().reshape(-1, 17).shape == (256, 17)
    assert np.array_equal(
        whole.eval_batches().reshape(-1, 17), dataset.eval_batches().reshape(-1, 17)
    )
    assert dataset.in_batches_of(4) is dataset


def test_a_batch_that_the_data_do_not_fill_is_refused():
    dataset = load_dataset(DataConfig(name="synthetic", sequence_length=16, batch_size=4))
    with refused("512", "256"):
        dataset.in_batches_of(512)


def test_batch_sizes_that_are_evaluated_on_other_examples_are_refused():
    experiment = configuration(data__eval_sequences=40, sweep__layers=[])
    with refused("40", "32", "data.eval_sequences"):
        load_for(experiment, declared_groups(experiment))
    whole = dataclasses.replace(
        experiment, data=dataclasses.replace(experiment.data, eval_sequences=48)
    )
    assert load_for(whole, declared_groups(whole)).held_out_examples == 48
