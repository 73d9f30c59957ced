"""Any text data set that TFDS knows by name, or finds prepared in a folder."""

from collections.abc import Iterator

import tensorflow_datasets as tfds
from etils import epath

from transfer.data import prepared
from transfer.data.config import DataConfig
from transfer.data.fingerprint import fingerprint_documents
from transfer.errors import TransferError, nearest


class TfdsText:
    """The text feature of a prepared TFDS data set, read without TensorFlow.

    Raises `TransferError` when the data set has no such text feature.
    """

    def __init__(
        self, builder: tfds.core.DatasetBuilder, text_feature: str, token_folder: epath.Path
    ):
        features = builder.info.features
        texts = [name for name in features if isinstance(features[name], tfds.features.Text)]
        if text_feature not in texts:
            raise TransferError(
                f'The data set {builder.name} has no text feature "{text_feature}"'
                f"{nearest(text_feature, texts)}; set data.text_feature to one of: "
                f"{', '.join(texts) or 'none, it holds no text'}."
            )
        self.token_folder = token_folder
        self._builder = builder
        self._text_feature = text_feature

    def documents(self, split: str) -> Iterator[str]:
        """Yield the documents of a split in their order on disk.

        Raises `TransferError` when the split does not exist, is empty or cannot be read.
        """
        prepared.split_info(self._builder, split)
        return self._read(split)

    def fingerprint(self, split: str) -> str:
        """Return a sha256 hex digest that names the content of a split.

        Below 1 GiB it covers the text of every example in order. From there on, where reading all
        of it at every start would take too long, it covers what TFDS recorded of the split.
        """
        if prepared.is_large(self._builder, split):
            return prepared.recorded_fingerprint(self._builder, self._text_feature, split)
        return fingerprint_documents(self.documents(split))

    def _read(self, split: str) -> Iterator[str]:
        try:
            for example in self._builder.as_data_source(split=split):
                yield example[self._text_feature].decode(errors="replace")
        except Exception as error:  # TFDS raises many kinds for one thing: files it cannot read
            raise prepared.cannot_be_read(self._builder, split, error) from error


def open_tfds_text(config: DataConfig) -> TfdsText:
    """Open the TFDS data set `config.name`, downloaded at need into the default folder.

    Raises `TransferError` when it is unknown, not prepared in a folder named by `config.data_dir`,
    or cannot be downloaded.
    """
    builder = prepared.open_prepared(
        config.name,
        config.data_dir,
        config.folder,
        kind="text",
        embedded=("stdlib_text", "synthetic"),
    )
    return TfdsText(builder, config.text_feature, config.token_folder)
