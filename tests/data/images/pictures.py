"""Small image data sets that stand for those of TFDS."""

import io

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

COUNTS = {"train": 40, "test": 12}


def icon(split: str, i: int) -> np.ndarray:
    """A 6 x 5 picture in color, of its own for every index and split."""
    generator = np.random.default_rng([i, len(split)])
    return generator.integers(0, 256, (6, 5, 3), np.uint8)


def photograph(split: str, i: int) -> Image.Image:
    """A smooth picture whose size and colors vary; every fourth is gray."""
    width, height = 20 + 3 * i, 50 - i
    red = np.linspace(0, 255, width)[None].repeat(height, axis=0)
    green = np.linspace(0, 255, height)[:, None].repeat(width, axis=1)
    blue = np.full((height, width), 255 * i / COUNTS[split])
    image = Image.fromarray(np.stack([red, green, blue], axis=-1).astype(np.uint8))
    return image.convert("L") if i % 4 == 3 else image


def encoded(image: Image.Image, kind: str) -> io.BytesIO:
    content = io.BytesIO()
    image.save(content, kind)
    content.seek(0)
    return content


class _Pictures(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")
    url_infos = None
    SUPERVISED = ("image", "label")
    FEATURES = None

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(self.FEATURES()),
            supervised_keys=self.SUPERVISED,
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in COUNTS}

    def _generate_examples(self, split):
        for i in range(COUNTS[split]):
            yield i, self.example(split, i)


class TinyIcons(_Pictures):
    """Stands for cifar10 and the like: color, one size, encoded as PNG."""

    @staticmethod
    def FEATURES():  # noqa: N802
        return {
            "image": tfds.features.Image(shape=(6, 5, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(num_classes=4),
        }

    def example(self, split, i):
        return {"image": Image.fromarray(icon(split, i)), "label": i % 4}


class TinyPhotographs(_Pictures):
    """Stands for imagenet2012: JPEG files of many sizes, some of them gray, features renamed."""

    SUPERVISED = ("photograph", "category")

    @staticmethod
    def FEATURES():  # noqa: N802
        return {
            "file_name": tfds.features.Text(),
            "photograph": tfds.features.Image(encoding_format="jpeg"),
            "category": tfds.features.ClassLabel(num_classes=3),
        }

    def example(self, split, i):
        content = encoded(photograph(split, i), "jpeg")
        return {"file_name": str(i), "photograph": content, "category": i % 3}


class UnlabelledIcons(TinyIcons):
    """Its test split has no labels, which TFDS writes as -1, as imagenet2012 does."""

    def example(self, split, i):
        return super().example(split, i) | {"label": -1 if split == "test" else i % 4}


class PairedIcons(TinyIcons):
    """Holds images that are not for classification."""

    SUPERVISED = ("image", "image")


class BlankIcons(TinyIcons):
    """Holds one color."""

    def example(self, split, i):
        return {"image": Image.new("RGB", (5, 6), (7, 7, 7)), "label": 0}


ALL = (TinyIcons, TinyPhotographs, UnlabelledIcons, PairedIcons, BlankIcons)


class Cifar10(TinyIcons, skip_registration=True):
    """Prepares 52 pictures where TFDS looks for those of its own cifar10."""

    VERSION = tfds.core.Version("3.0.2")

    @staticmethod
    def FEATURES():  # noqa: N802
        return {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(shape=(32, 32, 3)),
            "label": tfds.features.ClassLabel(num_classes=10),
        }

    def example(self, split, i):
        image = Image.fromarray(icon(split, i)).resize((32, 32))
        return {"id": str(i), "image": image, "label": i % 10}


class Mnist(TinyIcons, skip_registration=True):
    """Prepares 52 pictures where TFDS looks for those of its own mnist."""

    VERSION = tfds.core.Version("3.0.1")

    @staticmethod
    def FEATURES():  # noqa: N802
        return {
            "image": tfds.features.Image(shape=(28, 28, 1)),
            "label": tfds.features.ClassLabel(num_classes=10),
        }

    def example(self, split, i):
        image = Image.fromarray(icon(split, i)).convert("L").resize((28, 28))
        return {"image": image, "label": i % 10}


class Imagenet2012(TinyPhotographs, skip_registration=True):
    """Prepares 52 photographs where TFDS looks for those of its own imagenet2012."""

    VERSION = tfds.core.Version("5.1.0")
    SUPERVISED = ("image", "label")

    @staticmethod
    def FEATURES():  # noqa: N802
        return {
            "file_name": tfds.features.Text(),
            "image": tfds.features.Image(encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(num_classes=1000),
        }

    def example(self, split, i):
        content = encoded(photograph(split, i), "jpeg")
        return {"file_name": str(i), "image": content, "label": i * 10}


BY_NAME = {"cifar10": Cifar10, "mnist": Mnist, "imagenet2012": Imagenet2012}
