"""A folder per class and arrays in an `.npz` file, as data sets of labeled images."""

import dataclasses
import pathlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from refusals import refused

from transfer.data import ImageConfig, ImageDataset, image_shape, load_dataset, prepared

BASE = ImageConfig(batch_size=2, eval_images=2)
CLASSES = ("ant", "bee", "cat")


def pixels(i: int, size: tuple[int, ...] = (5, 4, 3)) -> np.ndarray:
    return np.random.default_rng(i).integers(0, 256, size, np.uint8)


def write(root: pathlib.Path, count: int = 60, ending: str = "png") -> pathlib.Path:
    for i in range(count):
        folder = root / CLASSES[i % 3] / f"part{i % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(i)).save(folder / f"{i:02}.{ending}")
    return root


@pytest.fixture
def load(tmp_path: pathlib.Path) -> Callable[..., ImageDataset]:
    def load(path: pathlib.Path, **change: object) -> ImageDataset:
        folder = str(tmp_path / "prepared")
        return load_dataset(
            dataclasses.replace(BASE, name=f"folder:{path}", data_dir=folder, **change)
        )

    return load


def epoch(dataset: ImageDataset, count: int) -> set[tuple[bytes, int]]:
    """The pixels and labels of so many batches."""
    mean, std = np.array([dataset.normalization.mean, dataset.normalization.std], np.float32)
    batches = dataset.batches(seed=0)
    found = set()
    for _ in range(count):
        batch = next(batches)
        stored = np.round(batch["image"] * std + mean).astype(np.uint8)
        found |= {(x.tobytes(), int(y)) for x, y in zip(stored, batch["label"], strict=True)}
    return found


def test_a_folder_per_class(tmp_path, load):
    root = write(tmp_path / "images")
    (root / ".DS_Store").write_bytes(b"\xff")
    dataset = load(root)
    assert (dataset.classes, dataset.image_shape) == (3, (5, 4, 3))
    assert image_shape(dataset.config) == (5, 4, 3)
    known = {(pixels(i).tobytes(), i % 3) for i in range(60)}
    seen = epoch(dataset, 30)
    held_out = len(known) - len(seen)
    assert seen < known
    assert 2 <= held_out < 15
    again = load(root)
    assert again.fingerprint == dataset.fingerprint
    np.testing.assert_array_equal(
        next(again.batches(7))["image"], next(dataset.batches(7))["image"]
    )
    (root / "ant" / "part0" / "00.png").rename(root / "bee" / "part0" / "00.png")
    assert load(root).fingerprint != dataset.fingerprint


def test_folders_named_train_and_test_are_the_splits(tmp_path, load):
    write(tmp_path / "images" / "train", 12)
    write(tmp_path / "images" / "test", 6)
    dataset = load(tmp_path / "images")
    assert epoch(dataset, 6) == {(pixels(i).tobytes(), i % 3) for i in range(12)}
    np.testing.assert_array_equal(dataset.eval_batches()["label"], [[0, 1]])
    with refused("validation", "train, test"):
        load(tmp_path / "images", eval_split="validation")


def test_photographs_of_many_sizes_are_resized(tmp_path, load):
    for i in range(40):
        folder = tmp_path / "images" / CLASSES[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(i, (20 + i, 30, 3))).save(folder / f"{i}.jpg")
    with refused(tmp_path / "images", "data.image_size"):
        load(tmp_path / "images")
    dataset = load(tmp_path / "images", image_size=16, crop_area=0.5, flip=True)
    assert next(dataset.batches(0))["image"].shape == (2, 16, 16, 3)
    assert image_shape(dataset.config) == (16, 16, 3)


def test_photographs_of_a_gigabyte_are_read_for_the_fingerprint_once(tmp_path, load, monkeypatch):
    root = write(tmp_path / "images")
    monkeypatch.setattr(prepared, "CONTENT_LIMIT", 0)
    before = load(root, image_size=8).fingerprint
    with monkeypatch.context() as patched:
        patched.setattr("transfer.data.own_files._digest", None)
        assert load(root, image_size=8).fingerprint == before
    Image.fromarray(pixels(99)).save(root / "ant" / "part0" / "00.png")
    assert load(root, image_size=8).fingerprint != before


def test_gray_images_have_one_channel_and_among_colored_ones_three(tmp_path, load):
    root = tmp_path / "images"
    for i in range(40):
        (root / CLASSES[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(i)).convert("L").save(root / CLASSES[i % 2] / f"{i}.png")
    assert load(root).image_shape == (5, 4, 1)
    Image.fromarray(pixels(0)).save(root / "ant" / "0.png")
    assert load(root).image_shape == (5, 4, 3)


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
    ],
)
def test_arrays_of_train_and_test(tmp_path, load, names):
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, (12, 5, 4), np.uint8), np.arange(12) % 3]
    arrays += [rng.integers(0, 256, (4, 5, 4), np.uint8), np.arange(4)[:, None] % 3]
    np.savez(tmp_path / "a.npz", **dict(zip(names, arrays, strict=True)))
    dataset = load(tmp_path / "a.npz")
    assert (dataset.classes, dataset.image_shape) == (3, (5, 4, 1))
    expected = {(x.tobytes(), int(y)) for x, y in zip(arrays[0], arrays[1], strict=True)}
    assert epoch(dataset, 6) == expected
    np.testing.assert_array_equal(dataset.eval_batches()["label"], [[0, 2]])


def test_one_pair_of_arrays_is_split_by_a_hash_of_pixels(tmp_path, load):
    images = np.stack([pixels(i) for i in range(80)])
    labels = (np.arange(80) % 5).astype(np.uint8)
    np.savez_compressed(tmp_path / "a.npz", images=images, labels=labels, more=np.zeros(3))
    dataset = load(tmp_path / "a.npz")
    seen = epoch(dataset, 40)
    order = np.random.default_rng(1).permutation(80)
    np.savez(tmp_path / "b.npz", image=images[order], label=labels[order])
    assert epoch(load(tmp_path / "b.npz"), 40) == seen
    assert 60 < len(seen) < 80
    assert load(tmp_path / "b.npz").fingerprint != dataset.fingerprint


def array_file(path: pathlib.Path, **arrays: np.ndarray) -> pathlib.Path:
    np.savez(path, **arrays)
    return path


IMAGES, LABELS = np.zeros((9, 5, 4, 3), np.uint8), np.arange(9)


@pytest.mark.parametrize(
    ("arrays", "names"),
    [
        ({"pictures": IMAGES}, ("pictures", "x_train")),
        ({"images": IMAGES.astype(float), "labels": LABELS}, ("images", "float64", "uint8")),
        ({"images": IMAGES[..., :2], "labels": LABELS}, ("images", IMAGES[..., :2].shape)),
        ({"images": IMAGES, "labels": LABELS[:8]}, ("images", 8)),
        ({"images": IMAGES, "labels": LABELS - 1}, ("labels",)),
        ({"images": IMAGES, "labels": LABELS / 2}, ("labels", "float64")),
        ({"images": IMAGES, "labels": np.array([{}] * 9)}, ()),  # which only pickle could read
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, ()),
    ],
)
def test_arrays_that_are_no_images(tmp_path, load, arrays, names):
    path = array_file(tmp_path / "a.npz", **arrays)
    with refused(path, *names):
        load(path)


def test_a_file_that_is_no_archive(tmp_path, load):
    path = tmp_path / "a.npz"
    path.write_bytes(b"PK no archive")
    with refused(path):
        load(path)
    array_file(path, images=IMAGES, labels=LABELS)
    path.write_bytes(path.read_bytes()[:-30])
    with refused(path):
        load(path)


def damaged(root: pathlib.Path, kind: str) -> pathlib.Path:
    """Put one file into a folder of images that does not belong there, and return its path."""
    # The first image is one of those whose headers are looked at, and the second is not.
    names = {"text": "a.txt", "later size": "06.png"}
    path = root / "ant" / "part0" / names.get(kind, "00.png")
    if kind == "text":
        path.write_text("no image")
    elif kind == "cut":
        path.write_bytes(path.read_bytes()[:40])
    elif "size" in kind:
        Image.fromarray(pixels(0, (5, 5, 3))).save(path)
    elif kind == "deep":
        Image.fromarray(pixels(0, (5, 4)).astype(np.uint16)).save(path)
    else:
        path = path.rename(root / "00.png")
    return path


@pytest.mark.parametrize("kind", ["text", "cut", "size", "later size", "deep", "classless"])
def test_what_is_no_image_of_a_class(tmp_path, load, kind):
    root = write(tmp_path / "images", 200)
    path = damaged(root, kind)
    with refused(path if kind != "size" else "data.image_size"):
        load(root)


def test_empty_splits(tmp_path, load):
    write(tmp_path / "images", 3)
    with refused(tmp_path / "images", "train and test"):
        load(tmp_path / "images")
