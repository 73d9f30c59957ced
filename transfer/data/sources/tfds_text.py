"""Any text data set that TFDS knows by name, or finds prepared in a folder."""

import json
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds
from etils import epath

from transfer.data.config import DataConfig
from transfer.data.fingerprint import combine_fingerprints, fingerprint_documents
from transfer.errors import TransferError, nearest

CONTENT_LIMIT = 2**30  # bytes of a split up to which its fingerprint reads all of it


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
        self._split_info(split)
        return self._read(split)

    def fingerprint(self, split: str) -> str:
        """Return a sha256 hex digest that names the content of a split.

        Below 1 GiB it covers the text of every example in order. From there on, where reading all
        of it at every start would take too long, it covers what TFDS recorded of the split: name,
        version, examples, shard lengths and bytes. The size is estimated from the data set's mean
        example, because TFDS keeps none for a part of a split.
        """
        info = self._split_info(split)
        splits = self._builder.info.splits.values()
        mean_bytes = sum(s.num_bytes for s in splits) / sum(s.num_examples for s in splits)
        if mean_bytes * info.num_examples < CONTENT_LIMIT:
            return fingerprint_documents(self.documents(split))
        recorded = [[s.name, s.num_examples, s.shard_lengths, int(s.num_bytes)] for s in splits]
        return combine_fingerprints(
            self._builder.info.full_name, self._text_feature, split, json.dumps(recorded)
        )

    def _split_info(self, split: str) -> Any:
        splits = self._builder.info.splits
        try:
            info = splits[split]
        except (ValueError, KeyError, AssertionError) as error:
            raise TransferError(
                f'The data set {self._builder.name} has no split "{split}"; expected TFDS split '
                f'syntax such as "train[:1%]" over: {", ".join(splits)}.'
            ) from error
        if not info.num_examples:
            raise TransferError(
                f'The split "{split}" of {self._builder.name} selects no examples; widen it.'
            )
        return info

    def _read(self, split: str) -> Iterator[str]:
        try:
            for example in self._builder.as_data_source(split=split):
                yield example[self._text_feature].decode(errors="replace")
        except Exception as error:  # TFDS raises many kinds for one thing: files it cannot read
            raise TransferError(
                f'The split "{split}" in {self._builder.data_path} cannot be read '
                f"({_first_line(error)}); expected whole array_record files: delete that folder "
                "and prepare the data set again."
            ) from error


def open_tfds_text(config: DataConfig) -> TfdsText:
    """Open the TFDS data set `config.name`.

    A data set missing from a folder named by `config.data_dir` is an error, and nothing is written
    there; missing from the default folder, it is downloaded into it.
    Raises `TransferError` when it is unknown, not prepared, or cannot be downloaded.
    """
    builder = _builder(config)
    if not builder.data_path.exists():
        if config.data_dir:
            raise TransferError(
                f"The data set {config.name} is not prepared in {config.folder}; run "
                f"`{_build_command(config.name, config.folder)}` or correct data.data_dir."
            )
        try:
            builder.download_and_prepare()
        except Exception as error:  # a download fails in as many ways as there are data sets
            # Of two processes that prepare at once, the second cannot rename over the first.
            if not builder.data_path.exists():
                raise TransferError(
                    f"The data set {config.name} could not be downloaded and prepared "
                    f"({_first_line(error)}); run "
                    f"`{_build_command(config.name, config.folder)}` on a machine that can, or "
                    'use data.name="stdlib_text", which needs no download.'
                ) from error
        builder = _builder(config)
    return TfdsText(builder, config.text_feature, config.token_folder)


def _builder(config: DataConfig) -> tfds.core.DatasetBuilder:
    try:
        return tfds.builder(config.name, file_format="array_record", data_dir=config.folder)
    except tfds.core.DatasetNotFoundError as error:
        known = ["stdlib_text", "synthetic", *tfds.list_builders(with_community_datasets=False)]
        raise TransferError(
            f'The data set "{config.name}" is neither known to TFDS nor prepared in '
            f'{config.folder}{nearest(config.name, known)}; set data.name to "stdlib_text", '
            '"synthetic" or a TFDS text data set.'
        ) from error
    except Exception as error:  # malformed names, builders that need missing packages, network
        raise TransferError(
            f'The data set "{config.name}" cannot be opened ({_first_line(error)}); expected '
            "NAME, NAME/CONFIG or NAME/CONFIG:VERSION of a text data set in array_record format."
        ) from error


def _build_command(name: str, folder: epath.PathLike) -> str:
    return f"tfds build {name} --file_format=array_record --data_dir={folder}"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".:") if lines else type(error).__name__
