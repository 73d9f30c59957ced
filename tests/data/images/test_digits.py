import os
import subprocess
import sys

import numpy as np
import pytest
from refusals import refused
from sklearn.datasets import load_digits

from transfer.data import ImageConfig, load_dataset
from transfer.data.load import open_images


def read(folder, split):
    images = open_images(ImageConfig(data_dir=str(folder))).split(split)
    decoded = [images.decoded(i) for i in range(len(images))]
    return np.stack([np.asarray(image) for image, _ in decoded]), np.array([y for _, y in decoded])


def test_the_splits_share_out_the_images_of_scikit_learn(digits_folder):
    bunch = load_digits()
    held_out = np.zeros(1797, bool)
    for label in range(10):
        held_out[np.flatnonzero(bunch.target == label)[5::6]] = True
    for split, chosen, count in (("train", ~held_out, 1501), ("test", held_out, 296)):
        pixels, labels = read(digits_folder, split)
        assert len(pixels) == count
        np.testing.assert_array_equal(pixels, bunch.images[chosen] * 15)
        np.testing.assert_array_equal(labels, bunch.target[chosen])


def test_every_class_is_as_frequent_in_both_splits(digits_folder):
    train, test = (np.bincount(read(digits_folder, split)[1]) for split in ("train", "test"))
    np.testing.assert_array_equal(test, (train + test) // 6)


def test_content_and_normalization_are_the_same_everywhere(digits):
    expected = "aabf8c273bf903894ee62dbebdfdf749b0000718161b82582ddd9c376a85f99f"
    assert digits.fingerprint == expected
    pixels = 15 * load_digits().images  # of both splits, which differ little
    assert digits.normalization.mean == pytest.approx([pixels.mean()], rel=0.01)
    assert digits.normalization.std == pytest.approx([pixels.std()], rel=0.01)
    assert digits.normalization.mean == (73.21712608261159,)


def test_first_use_is_silent_and_safe_in_two_processes_at_once(tmp_path):
    program = (
        "from transfer.data import ImageConfig, load_dataset\n"
        f"print(load_dataset(ImageConfig(data_dir={str(tmp_path)!r})).fingerprint)"
    )
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(2)
    ]
    (first, noise), (second, more_noise) = (process.communicate() for process in processes)
    assert (noise, more_noise) == ("", "")
    assert first == second
    assert len(first.split()) == 1
    assert not [*tmp_path.rglob("*incomplete*")]


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with refused("digits", tmp_path / "file"):
        load_dataset(ImageConfig(data_dir=str(tmp_path / "file")))


def test_the_digits_can_be_learnt(digits):
    """One linear layer by least squares tells nine of ten held-out digits from their pixels."""
    images, labels = [], []
    batches = digits.batches(seed=0)
    for _ in range(20):
        batch = next(batches)
        images.append(batch["image"])
        labels.append(batch["label"])
    held_out = digits.eval_batches()

    def inputs(pixels):
        rows = pixels.reshape(-1, 64)
        return np.append(rows, np.ones((len(rows), 1)), axis=1)

    targets = np.eye(10)[np.concatenate(labels)]
    weights, *_ = np.linalg.lstsq(inputs(np.concatenate(images)), targets, rcond=1e-6)
    guesses = (inputs(held_out["image"]) @ weights).argmax(axis=1)
    assert (guesses == held_out["label"].ravel()).mean() > 0.9
