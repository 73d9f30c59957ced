import pytest
from refusals import refused

from transfer.data import ImageConfig


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"batch_size": 0}, ("data.batch_size", 0)),
        ({"eval_images": 0}, ("data.eval_images", 0)),
        ({"eval_images": 63}, ("data.eval_images", 63)),
        ({"crop_padding": -1}, ("data.crop_padding", -1)),
        ({"image_size": -1}, ("data.image_size", -1)),
        ({"image_size": 224, "crop_area": 0.0}, ("data.crop_area", 0.0)),
        ({"image_size": 224, "crop_area": 1.5}, ("data.crop_area", 1.5)),
        ({"image_size": 224, "crop_padding": 4}, ("crop_padding", 4, "data.image_size", 224)),
        ({"crop_area": 0.08}, ("crop_area", 0.08, "data.image_size")),
    ],
)
def test_impossible_settings(change, names):
    with refused(*names) as caught:
        ImageConfig(**change)
    assert "\n" not in str(caught.value)


def test_default_folder(monkeypatch):
    monkeypatch.delenv("TRANSFER_DATA_DIR", raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    assert str(ImageConfig().folder) == "/home/someone/.cache/transfer/data"
    assert str(ImageConfig(data_dir="gs://b/d").folder) == "gs://b/d"
