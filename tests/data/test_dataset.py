import dataclasses
import hashlib
import json

import numpy as np
import pytest
from refusals import refused

from transfer.data import (
    DataConfig,
    PopulationBatches,
    check_fingerprint,
    load_dataset,
    train_tokenizer,
)

SYNTHETIC = DataConfig(name="synthetic")


@pytest.fixture(scope="module")
def synthetic():
    return load_dataset(SYNTHETIC)


def test_batches_hold_the_text_of_the_training_split(stdlib):
    batch = next(stdlib.batches(seed=0))
    assert batch.shape == (16, 65)
    assert batch.dtype == np.int32
    corpus = "\0".join(stdlib.documents()).encode() + b"\0"
    for row in batch:
        assert bytes(row.astype(np.uint8)) in corpus


def test_two_loads_agree(stdlib, stdlib_folder):
    again = load_dataset(DataConfig(data_dir=str(stdlib_folder)))
    assert again.fingerprint == stdlib.fingerprint
    np.testing.assert_array_equal(next(again.batches(7)), next(stdlib.batches(7)))
    assert not np.array_equal(next(again.batches(7)), next(again.batches(8)))


def test_a_seed_has_meant_the_same_batches_since_the_first_runs(synthetic):
    """A run started by an earlier version resumes in its own order."""
    batches = synthetic.batches(seed=0)
    content = np.stack([next(batches) for _ in range(200)]).tobytes()
    digest = hashlib.sha256(content).hexdigest()
    assert digest == "324aed98021acfd1739c695a49a00bd565185e2d510678f68adc35d8df3fc53a"


def test_eval_batches_are_held_out_fixed_and_spread_over_the_split(synthetic):
    batches = synthetic.eval_batches()
    assert batches.shape == (16, 16, 65)
    assert batches.dtype == np.int32
    np.testing.assert_array_equal(batches, synthetic.eval_batches())
    test_split = dataclasses.replace(SYNTHETIC, train_split="test")
    corpus = "\0".join(load_dataset(test_split).documents()).encode()
    starts = [corpus.find(bytes(row.astype(np.uint8))) for row in batches.reshape(-1, 65)]
    assert min(starts) == 0  # every row is there
    gaps = np.diff(starts)
    assert gaps.min() > 0
    assert gaps.max() - gaps.min() <= 64  # even to one window
    assert starts[-1] + gaps.max() + 65 > len(corpus)  # and to the end
    trained_on = "\0".join(synthetic.documents()).encode()
    assert not any(bytes(row.astype(np.uint8)) in trained_on for row in batches[0])


@pytest.mark.parametrize(
    ("sequences", "batch", "shape"), [(40, 16, (2, 16)), (10**6, 500, (2, 500)), (16, 16, (1, 16))]
)
def test_eval_sequences_are_rounded_down_to_whole_batches(sequences, batch, shape):
    config = dataclasses.replace(SYNTHETIC, eval_sequences=sequences, batch_size=batch)
    assert load_dataset(config).eval_batches().shape == (*shape, 65)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"eval_sequences": 15}, ("eval_sequences", 15)),
        ({"batch_size": 20_000, "eval_sequences": 20_000}, ("train", "synthetic")),
        ({"batch_size": 2_000, "eval_sequences": 2_000}, ("test", "synthetic")),
        ({"sequence_length": 10**6}, (0, 1_000_000)),
        ({"train_split": "training"}, ("training",)),
        ({"tokenizer": "words"}, ("words",)),
        ({"tokenizer": "missing.model"}, ("missing.model",)),
    ],
)
def test_bad_configurations(change, names):
    with refused(*names):
        load_dataset(dataclasses.replace(SYNTHETIC, **change))


@pytest.mark.parametrize("field", ["sequence_length", "batch_size", "eval_sequences"])
def test_sizes_below_one_are_refused(field):
    with refused(f"data.{field}", 0):
        DataConfig(**{field: 0})


def test_fingerprint_changes_with_text_and_tokenizer_only(synthetic, tmp_path):
    def fingerprint(**change):
        return load_dataset(dataclasses.replace(SYNTHETIC, **change)).fingerprint

    tokenizer = str(tmp_path / "bpe.json")
    train_tokenizer(synthetic.documents(), 300, tokenizer)
    base = synthetic.fingerprint
    assert len(base) == 64
    int(base, 16)
    assert fingerprint(batch_size=8, sequence_length=32) == base
    others = {
        fingerprint(train_split="test"),
        fingerprint(eval_split="train"),
        fingerprint(train_split="test", eval_split="train"),
        fingerprint(tokenizer=tokenizer),
    }
    assert len(others | {base}) == 5


def test_check_fingerprint():
    check_fingerprint("a" * 64, "a" * 64, "config.json")
    with refused("runs/x/config.json", "b" * 12, "a" * 12):
        check_fingerprint("a" * 64, "b" * 64, "runs/x/config.json")


def test_population_gives_each_distinct_seed_its_own_stream(synthetic):
    population = PopulationBatches(synthetic, [5, 2, 5], rows=range(8, 16))
    assert population.seeds == (5, 2)
    taken = np.concatenate([population.take(3), population.take(1)])
    assert taken.shape == (4, 2, 8, 65)
    assert taken.dtype == np.int32
    for i, seed in enumerate((5, 2)):
        alone = synthetic.batches(seed, rows=range(8, 16))
        np.testing.assert_array_equal(taken[:, i], [next(alone) for _ in range(4)])


def test_population_resumes_exactly_through_json(synthetic):
    population = PopulationBatches(synthetic, [0, 1])
    population.take(5)
    state = json.loads(json.dumps(population.get_state()))
    expected = population.take(3)
    resumed = PopulationBatches(synthetic, [0, 1])
    resumed.set_state(state)
    np.testing.assert_array_equal(resumed.take(3), expected)
    with refused([0, 1], [1, 0]):
        PopulationBatches(synthetic, [1, 0]).set_state(state)


def test_population_needs_a_seed(synthetic):
    with refused():
        PopulationBatches(synthetic, [])


def test_synthetic_text_is_learnable(synthetic):
    """A bigram table counted on the training split predicts the held-out one at 0.91 nats."""
    counts = np.full((256, 256), 1e-3)
    for document in synthetic.documents():
        ids = synthetic.tokenizer.encode(document)
        np.add.at(counts, (ids[:-1], ids[1:]), 1)
    log_p = np.log(counts / counts.sum(axis=1, keepdims=True))
    rows = synthetic.eval_batches().reshape(-1, 65)
    p = np.array([0.7, 0.15, 0.1, 0.05])
    assert -log_p[rows[:, :-1], rows[:, 1:]].mean() == pytest.approx(-(p @ np.log(p)), abs=0.05)
