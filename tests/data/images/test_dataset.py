import dataclasses
import hashlib
import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from transfer.data import ImageConfig, PopulationBatches, load_dataset

from .pictures import icon

ICONS = ImageConfig(name="tiny_icons", batch_size=8, eval_images=8)
AUGMENTED = {"crop_padding": 2, "flip": True}
PHOTOGRAPHS = ImageConfig(name="tiny_photographs", batch_size=4, eval_images=8, image_size=16)
CROPPED = {"crop_area": 0.25, "flip": True}
KINDS = ["icons", "photographs"]


@pytest.fixture(scope="module")
def load(pictures):
    return lambda config, **change: load_dataset(
        dataclasses.replace(config, data_dir=str(pictures), **change)
    )


@pytest.fixture(scope="module")
def augmented(load):
    return {"icons": load(ICONS, **AUGMENTED), "photographs": load(PHOTOGRAPHS, **CROPPED)}


def read(dataset, seed, steps, rows=None):
    batches = dataset.batches(seed, rows=rows)
    return stack(itertools.islice(batches, steps))


def stack(batches):
    batches = list(batches)
    return {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def pixels(dataset, images):
    """Undo the normalization, to the whole numbers that pixels are."""
    scaled = images * np.float64(dataset.normalization.std) + dataset.normalization.mean
    np.testing.assert_allclose(scaled, np.round(scaled), atol=1e-3)  # float32 of up to 255
    return np.round(scaled).astype(np.uint8)


def key(image):
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()


def test_batches_are_arrays_that_a_classifier_takes(digits):
    batch = next(digits.batches(seed=0))
    assert {name: (array.shape, array.dtype) for name, array in batch.items()} == {
        "image": ((64, 8, 8, 1), np.dtype(np.float32)),
        "label": ((64,), np.dtype(np.int32)),
    }
    assert (digits.classes, digits.image_shape) == (10, (8, 8, 1))


def test_without_augmentation_an_epoch_is_every_image_once_with_its_label(load):
    dataset = load(ICONS)
    epoch = read(dataset, seed=3, steps=5)
    images = pixels(dataset, epoch["image"]).reshape(40, 6, 5, 3)
    seen = {key(image): label for image, label in zip(images, epoch["label"].ravel(), strict=True)}
    assert seen == {key(icon("train", i)): i % 4 for i in range(40)}


def test_augmented_icons_are_sub_windows_of_padded_ones_flipped_or_not(augmented):
    known = {}
    for i in range(40):
        padded = np.pad(icon("train", i), [(2, 2), (2, 2), (0, 0)])
        for row, column in itertools.product(range(5), range(5)):
            window = padded[row : row + 6, column : column + 5]
            known[key(window)], known[key(window[:, ::-1])] = (i, "as is"), (i, "flipped")
    dataset = augmented["icons"]
    batch = read(dataset, seed=0, steps=50)
    images = pixels(dataset, batch["image"]).reshape(400, 6, 5, 3)
    found = [known[key(image)] for image in images]
    np.testing.assert_array_equal([i % 4 for i, _ in found], batch["label"].ravel())
    for epoch in range(10):
        assert sorted(i for i, _ in found[epoch * 40 : epoch * 40 + 40]) == list(range(40))
    # Half of 400 throws, within four standard deviations of 10.
    assert abs(sum(way == "flipped" for _, way in found) - 200) < 40
    first_image = {key(image) for image, (i, _) in zip(images, found, strict=True) if i == 0}
    assert len(first_image) > 5  # of 50 ways; ten draws


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_sets_order_and_augmentation(augmented, kind):
    dataset = augmented[kind]
    first = read(dataset, 3, 12)
    assert same(first, read(dataset, 3, 12))
    others = [read(dataset, seed, 12) for seed in range(3)]
    assert not any(np.array_equal(first["label"], other["label"]) for other in others)
    assert not any(np.array_equal(first["image"], other["image"]) for other in others)


@pytest.mark.parametrize("kind", KINDS)
def test_augmentation_differs_between_seeds_and_steps(load, kind):
    """Of one image, whose order is always the same."""
    config, change = {"icons": (ICONS, AUGMENTED), "photographs": (PHOTOGRAPHS, CROPPED)}[kind]
    one = load(config, train_split="train[:1]", batch_size=1, **change)
    seeds = [read(one, seed, 8)["image"] for seed in range(4)]
    for first, second in itertools.combinations(seeds, 2):
        assert not np.array_equal(first, second)
    assert all(len({key(image) for image in images}) > 2 for images in seeds)


def test_order_does_not_depend_on_the_augmentation(load, augmented):
    plain, varied = read(load(ICONS), 1, 9), read(augmented["icons"], 1, 9)
    np.testing.assert_array_equal(plain["label"], varied["label"])
    assert not np.array_equal(plain["image"], varied["image"])


@pytest.mark.parametrize("change", [{"crop_padding": 2}, {"flip": True}])
def test_each_augmentation_is_a_switch_of_its_own(load, change):
    assert not same(read(load(ICONS), 1, 2), read(load(ICONS, **change), 1, 2))


@pytest.mark.parametrize("kind", KINDS)
def test_held_out_images_are_never_augmented(load, augmented, kind):
    plain = load({"icons": ICONS, "photographs": PHOTOGRAPHS}[kind])
    held_out = augmented[kind].eval_batches()
    assert same(held_out, plain.eval_batches())
    assert same(held_out, augmented[kind].eval_batches())


def test_eval_batches_are_held_out_images_spread_over_the_split(load):
    dataset = load(ICONS, batch_size=4)
    batches = dataset.eval_batches()
    assert {name: rows.shape for name, rows in batches.items()} == {
        "image": (2, 4, 6, 5, 3),
        "label": (2, 4),
    }
    chosen = [i * 12 // 8 for i in range(8)]
    expected = [icon("test", i) for i in chosen]
    np.testing.assert_array_equal(pixels(dataset, batches["image"]).reshape(8, 6, 5, 3), expected)
    np.testing.assert_array_equal(batches["label"].ravel(), [i % 4 for i in chosen])


@pytest.mark.parametrize(
    ("images", "batch", "shape"), [(9, 4, (2, 4)), (1000, 5, (2, 5)), (4, 4, (1, 4))]
)
def test_eval_images_are_rounded_down_to_whole_batches(load, images, batch, shape):
    dataset = load(ICONS, eval_images=images, batch_size=batch)
    assert dataset.eval_batches()["label"].shape == shape


@settings(deadline=None, max_examples=15)
@given(
    processes=st.sampled_from([2, 4, 8]),
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 2**32 - 1),
)
def test_shards_concatenate_to_the_single_process_batch(augmented, processes, kind, seed):
    dataset = augmented[kind]
    processes = min(processes, dataset.config.batch_size)
    whole = read(dataset, seed, 3)
    shards = [
        read(dataset, seed, 3, rows)
        for rows in np.split(np.arange(dataset.config.batch_size), processes)
    ]
    joined = {name: np.concatenate([s[name] for s in shards], axis=1) for name in whole}
    assert same(joined, whole)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [0, 3, 7])  # the first epoch of icons ends at 5
def test_resume_is_exact_even_on_another_number_of_processes(augmented, kind, steps):
    dataset = augmented[kind]
    whole = read(dataset, 5, steps + 4)
    saved = dataset.batches(5, rows=[1])
    for _ in range(steps):
        next(saved)
    state = json.loads(json.dumps(saved.get_state()))
    resumed = dataset.batches(5)
    next(resumed)  # a position replaces whatever was read before
    resumed.set_state(state)
    expected = {name: rows[steps:] for name, rows in whole.items()}
    assert same(stack(itertools.islice(resumed, 4)), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_population_gives_each_distinct_seed_its_own_stream_and_resumes(augmented, kind):
    dataset = augmented[kind]
    population = PopulationBatches(dataset, [5, 2, 5])
    taken = population.take(3)
    size, shape = dataset.config.batch_size, dataset.image_shape
    assert taken["image"].shape == (3, 2, size, *shape)
    assert taken["label"].shape == (3, 2, size)
    for i, seed in enumerate((5, 2)):
        assert same({name: rows[:, i] for name, rows in taken.items()}, read(dataset, seed, 3))
    resumed = PopulationBatches(dataset, [5, 2])
    resumed.set_state(json.loads(json.dumps(population.get_state())))
    assert same(resumed.take(2), population.take(2))


@pytest.mark.parametrize("kind", KINDS)
def test_fingerprint_changes_with_the_images_only(load, augmented, kind):
    config = {"icons": ICONS, "photographs": PHOTOGRAPHS}[kind]
    base = augmented[kind].fingerprint
    assert len(base) == 64
    assert load(config, batch_size=2).fingerprint == base
    others = {
        load(config, train_split="train[:20]").fingerprint,
        load(config, train_split="train[20:]").fingerprint,
        load(config, eval_split="train").fingerprint,
        load(config, train_split="test", eval_split="train").fingerprint,
    }
    assert len(others | {base}) == 5


def test_fingerprint_changes_with_the_labels_alone(load):
    icons = load(ICONS).fingerprint
    assert load(ICONS, name="unlabelled_icons", eval_split="train").fingerprint != icons
    assert (
        load(ICONS, name="unlabelled_icons", eval_split="train").fingerprint
        == load(ICONS, eval_split="train").fingerprint
    )


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"rows": [8]}, ("rows", "[8]")),
        ({"seed": -1}, ("seed", -1)),
    ],
)
def test_bad_arguments_of_batches(augmented, change, names):
    with refused(*names):
        augmented["icons"].batches(**{"seed": 0, **change})
