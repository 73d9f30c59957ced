import numpy as np
import tensorflow_datasets as tfds

POEMS = {
    "train": [f"verse {i}: " + "tiger tiger burning bright, " * (i % 5 + 1) for i in range(60)],
    "test": [f"held out {i}: " + "in the forests of the night, " * (i % 3 + 1) for i in range(12)],
}


class TinyPoems(tfds.core.GeneratorBasedBuilder):
    """Stands for any TFDS text data set that is not ours."""

    VERSION = tfds.core.Version("1.0.0")
    url_infos = None

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {"verse": tfds.features.Text(), "line": tfds.features.Scalar(np.int64)}
            ),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in POEMS}

    def _generate_examples(self, split):
        for i, verse in enumerate(POEMS[split]):
            yield i, {"verse": verse, "line": i}


class UnreachablePoems(TinyPoems):
    """Stands for a data set whose download fails."""

    def _split_generators(self, dl_manager):
        raise ConnectionError("Name or service not known\nand much more")
