import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from transfer.data.pipeline import BatchIterator
from transfer.data.text_dataset import Windows

LENGTH = 3


def windows(count: int) -> Windows:
    """Windows whose first token is LENGTH times their index."""
    return Windows(np.arange(count * LENGTH + 1), LENGTH)


def read(count: int, batch: int, seed: int, steps: int, rows=None):
    iterator = BatchIterator(windows(count), batch, seed, rows)
    return np.stack(list(itertools.islice(iterator, steps)))


@pytest.mark.parametrize(("tokens", "count"), [(0, 0), (1, 0), (3, 0), (4, 1), (6, 1), (7, 2)])
def test_number_of_windows(tokens, count):
    assert len(Windows(np.arange(tokens), LENGTH)) == count


@given(st.integers(4, 200), st.integers(1, 9))
def test_windows_overlap_by_exactly_one_token_and_predict_each_token_once(tokens, length):
    w = Windows(np.arange(tokens, dtype=np.uint16), length)
    rows = w.take(np.arange(len(w))) if len(w) else np.empty((0, length + 1), np.int32)
    np.testing.assert_array_equal(rows[1:, 0], rows[:-1, -1])
    np.testing.assert_array_equal(rows[:, 1:].ravel(), np.arange(1, len(w) * length + 1))


@settings(deadline=None, max_examples=40)
@given(
    count=st.integers(1, 40),
    processes=st.integers(1, 6),
    local=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
    generator=st.randoms(use_true_random=False),
)
def test_shards_are_rows_of_the_single_process_batch_across_epochs(
    count, processes, local, seed, generator
):
    batch = processes * local
    steps = 2 * count // batch + 2  # ends in the third epoch
    whole = read(count, batch, seed, steps)
    # The rows on a process's devices lie as the mesh does, not always in one piece.
    rows = generator.sample(range(batch), batch)
    for process in range(processes):
        own = sorted(rows[process * local : (process + 1) * local])
        np.testing.assert_array_equal(read(count, batch, seed, steps, own), whole[:, own])
    assert whole.dtype == np.int32
    order = whole[:, :, 0].ravel() // LENGTH
    for epoch in range(2):
        seen = order[epoch * count : (epoch + 1) * count]
        np.testing.assert_array_equal(np.sort(seen), np.arange(count))


def test_order_is_set_by_the_seed_and_differs_between_seeds_and_epochs():
    first = read(64, 8, seed=3, steps=16)
    np.testing.assert_array_equal(first, read(64, 8, seed=3, steps=16))
    assert not np.array_equal(first[:8], first[8:])
    for seed in range(3):
        assert not np.array_equal(first[:8], read(64, 8, seed=seed, steps=8))
    in_file_order = np.sort(first[:8, :, 0].ravel())
    assert not np.array_equal(first[:8, :, 0].ravel(), in_file_order)


def test_next_epoch_of_a_seed_is_no_epoch_of_its_neighbour():
    second_epoch = read(64, 8, seed=0, steps=16)[8:]
    assert not np.array_equal(second_epoch, read(64, 8, seed=1, steps=8))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 30), st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 4]))
def test_resume_is_exact_even_on_another_number_of_processes(steps, before, after):
    whole = read(21, 4, seed=5, steps=steps + 7)
    saved = BatchIterator(windows(21), 4, 5, range(4 // before))
    for _ in range(steps):
        next(saved)
    state = json.loads(json.dumps(saved.get_state()))
    shards = []
    for process in range(after):
        local = 4 // after
        resumed = BatchIterator(windows(21), 4, 5, range(process * local, (process + 1) * local))
        next(resumed)  # a position replaces whatever was read before
        resumed.set_state(state)
        shards.append(np.stack(list(itertools.islice(resumed, 7))))
    np.testing.assert_array_equal(np.concatenate(shards, axis=1), whole[steps:])


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ((8, 0, [6, 7, 8]), ("rows", "[6, 7, 8]")),
        ((8, 0, [-1]), ("rows", "[-1]")),
        ((8, 0, []), ("rows", "[]")),
        ((8, -1), ("seed", -1)),
        ((8, 2**32), ("seed", 2**32)),
    ],
)
def test_bad_arguments(arguments, names):
    with refused(*names):
        BatchIterator(windows(20), *arguments)
