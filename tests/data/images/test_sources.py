import dataclasses
import io

import numpy as np
import pytest
from PIL import Image
from refusals import refused

from transfer.data import DataConfig, ImageConfig, load_dataset, prepared
from transfer.data.image_augmentation import center_box

from .pictures import encoded, photograph

BASE = ImageConfig(name="tiny_icons", batch_size=4, eval_images=4)


def load(folder, **change):
    return load_dataset(dataclasses.replace(BASE, data_dir=str(folder), **change))


@pytest.mark.parametrize(
    ("name", "size", "classes", "shape"),
    [
        ("mnist", 0, 10, (28, 28, 1)),
        ("cifar10", 0, 10, (32, 32, 3)),
        ("imagenet2012", 24, 1000, (24, 24, 3)),
    ],
)
def test_data_sets_of_tfds_by_name(pictures, name, size, classes, shape):
    dataset = load(pictures, name=name, image_size=size)
    assert (dataset.classes, dataset.image_shape) == (classes, shape)
    batch = next(dataset.batches(seed=0))
    assert batch["image"].shape == (4, *shape)
    assert batch["image"].dtype == np.float32
    assert len(dataset.normalization.mean) == shape[-1]


def test_held_out_photographs_are_the_resized_center(pictures):
    dataset = load(pictures, name="tiny_photographs", image_size=16)
    rows = dataset.eval_batches()["image"].reshape(4, 16, 16, 3)
    for row, i in zip(rows, (0, 3, 6, 9), strict=True):
        stored = Image.open(io.BytesIO(encoded(photograph("test", i), "jpeg").read()))
        box = center_box(stored.height, stored.width)
        expected = stored.convert("RGB").resize((16, 16), Image.Resampling.BILINEAR, box=box)
        np.testing.assert_array_equal(row, dataset.normalization(np.asarray(expected)))


def test_a_center_crop_is_the_center_of_the_resized_photograph(pictures):
    """Resizing the shorter side to 256 / 224 of the crop, then cropping, differs by rounding."""
    image = photograph("train", 12)  # 56 x 38
    box = center_box(image.height, image.width)
    ours = np.asarray(image.resize((28, 28), Image.Resampling.BILINEAR, box=box), float)
    resized = image.resize((round(56 / 38 * 32), 32), Image.Resampling.BILINEAR)
    left = (resized.width - 28) // 2
    usual = np.asarray(resized.crop((left, 2, left + 28, 30)), float)
    assert np.abs(ours - usual).mean() < 2  # of 255; half a pixel of a ramp of 256 over 47
    off_center = np.asarray(resized.crop((0, 0, 28, 28)), float)
    assert np.abs(ours - off_center).mean() > 10


def test_training_photographs_are_random_crops_of_at_least_their_area(pictures):
    """Red rises by 255 over the width and green over the height: they say which part is seen."""
    nearly_square = "train[8:11]"  # a long one cannot be covered by crops of aspect 3/4 to 4/3
    dataset = load(
        pictures,
        name="tiny_photographs",
        image_size=16,
        train_split=nearly_square,
        batch_size=3,
        crop_area=0.25,
    )
    mean, std = np.array([dataset.normalization.mean, dataset.normalization.std])
    batches = dataset.batches(seed=0)
    pixels = np.concatenate([next(batches)["image"] * std + mean for _ in range(100)])
    # The centers of 16 pixels span 15/16 of a crop.
    across = (pixels[:, :, -1, 0] - pixels[:, :, 0, 0]).mean(axis=1) / 255 * 16 / 15
    down = (pixels[:, -1, :, 1] - pixels[:, 0, :, 1]).mean(axis=1) / 255 * 16 / 15
    shares = across * down
    # Uniform from 0.25 to 1, but for sides that are cut; rounding and JPEG blur by some percent.
    assert 0.2 < shares.min() < 0.32
    assert 0.9 < shares.max() < 1.1
    assert 0.5 < shares.mean() < 0.7


def test_large_splits_of_photographs_are_fingerprinted_without_reading_them(pictures, monkeypatch):
    def fingerprint(split):
        dataset = load(pictures, name="tiny_photographs", image_size=16, train_split=split)
        return dataset.fingerprint

    content = fingerprint("train")
    monkeypatch.setattr(prepared, "CONTENT_LIMIT", 0)
    monkeypatch.setattr("transfer.data.image_sources.TfdsImageSplit.encoded", None)
    monkeypatch.setattr(
        "transfer.data.image_sources.TfdsImageSplit.decoded",
        lambda self, index: (photograph("train", index).convert("RGB"), 0),
    )
    splits = ["train", "test", "train[:10]", "train[10:20]"]
    recorded = [fingerprint(split) for split in splits]
    assert recorded == [fingerprint(split) for split in splits]
    assert len({content, *recorded}) == 5


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"name": "tiny_icon"}, ("tiny_icon", "tiny_icons")),
        ({"name": "digit"}, ("digit", "digits", "data.name")),
        ({"name": "tiny icons:x"}, ("tiny icons:x",)),
        ({"name": "unprepared", "data_dir": "/nowhere"}, ("unprepared",)),
        ({"name": "paired_icons"}, ("paired_icons", "image, label")),
        ({"name": "blank_icons"}, (7,)),
        ({"name": "unlabelled_icons"}, ("test", "unlabelled_icons", -1)),
        ({"name": "tiny_photographs"}, ("tiny_photographs", "data.image_size")),
        ({"train_split": "training"}, ("training", "train", "test")),
        ({"eval_split": "validation"}, ("validation", "train", "test")),
        ({"train_split": "train[:0]"}, ("train[:0]",)),
        ({"batch_size": 20, "eval_images": 20}, ("test", "tiny_icons", 12)),
        ({"batch_size": 50, "eval_images": 50}, ("train", "tiny_icons", 40)),
    ],
)
def test_bad_inputs(pictures, change, names):
    with refused(*names) as caught:
        load(change.pop("data_dir", pictures), **change)
    assert "\n" not in str(caught.value)


def test_text_is_no_image_data_set_and_images_are_no_text(tmp_path, poems_folder, pictures):
    with refused("tiny_poems", "verse", "line"):
        load(poems_folder, name="tiny_poems")
    with refused("tiny_icons"):
        load_dataset(DataConfig(name="tiny_icons", data_dir=str(pictures)))


def test_a_named_folder_without_the_data_set_is_an_error_and_stays_untouched(tmp_path):
    with refused("cifar10", tmp_path, "tfds build cifar10"):
        load(tmp_path, name="cifar10")
    assert not list(tmp_path.iterdir())


def test_files_that_tfds_cannot_read(tmp_path, pictures):
    target = tmp_path / "tiny_icons" / "1.0.0"
    target.mkdir(parents=True)
    for file in (pictures / "tiny_icons" / "1.0.0").glob("*.json"):
        (target / file.name).write_bytes(file.read_bytes())
    with refused("array_record"):
        load(tmp_path)
