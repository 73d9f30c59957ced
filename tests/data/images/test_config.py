import pytest

from transfer.data import ImageConfig
from transfer.errors import TransferError


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "data.batch_size is 0"),
        ({"eval_images": 0}, "data.eval_images is 0"),
        ({"eval_images": 63}, "data.eval_images is 63; expected at least one batch of 64"),
        ({"crop_padding": -1}, "data.crop_padding is -1"),
        ({"image_size": -1}, "data.image_size is -1"),
        ({"image_size": 224, "crop_area": 0.0}, "data.crop_area is 0.0"),
        ({"image_size": 224, "crop_area": 1.5}, "data.crop_area is 1.5"),
        ({"image_size": 224, "crop_padding": 4}, "crop_padding is 4 with data.image_size 224"),
        ({"crop_area": 0.08}, "crop_area is 0.08 without data.image_size"),
    ],
)
def test_impossible_settings(change, message):
    with pytest.raises(TransferError, match=message) as caught:
        ImageConfig(**change)
    assert "\n" not in str(caught.value)


def test_default_folder(monkeypatch):
    monkeypatch.delenv("TRANSFER_DATA_DIR", raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    assert str(ImageConfig().folder) == "/home/someone/.cache/transfer/data"
    assert str(ImageConfig(data_dir="gs://b/d").folder) == "gs://b/d"
