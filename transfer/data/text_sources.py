"""Where text comes from: TFDS, the standard library of this Python, or a Markov chain."""

import hashlib
import os
import pathlib
import platform
import sysconfig
from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from transfer.data import prepared
from transfer.data.config import DataConfig
from transfer.data.fingerprint import fingerprint_documents
from transfer.errors import TransferError, nearest


class Source(Protocol):
    """Documents by split, in a fixed order, with a fingerprint of what they hold."""

    @property
    def token_folder(self) -> epath.Path | None:
        """Where its token files go; None when it is small enough to be tokenized in memory."""

    def documents(self, split: str) -> Iterator[str]:
        """Yield the documents of a split; raises `TransferError` for a split it does not have."""

    def fingerprint(self, split: str) -> str:
        """Return a sha256 hex digest that changes with the documents of the split."""


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


def open_tfds_text(config: DataConfig, embedded: Iterable[str]) -> TfdsText:
    """Open the TFDS data set `config.name`, downloaded at need into the default folder.

    `embedded` are the names that need no download, which an error suggests.

    Raises `TransferError` when it is unknown, not prepared in a folder named by `config.data_dir`,
    or cannot be downloaded.
    """
    builder = prepared.open_prepared(
        config.name,
        config.data_dir,
        config.folder,
        kind="text",
        embedded=tuple(embedded),
    )
    return TfdsText(builder, config.text_feature, config.token_folder)


# About 31 MB of real code that every Python install has already, prepared in about a second.

_EXCLUDED = frozenset({"site-packages", "dist-packages", "__pycache__"})
_HELD_OUT_ONE_IN = 20


class StdlibText(tfds.core.GeneratorBasedBuilder):
    """Features path and text of every `.py` file, in the order of their paths.

    One file in 20, chosen by a hash of its path, is held out as "test"; the rest is "train". No
    file is in both.
    """

    VERSION = tfds.core.Version("1.0.0")
    url_infos = None  # nothing is downloaded, so TFDS need not look for checksums

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Source files of the Python standard library.",
            features=tfds.features.FeaturesDict(
                {"path": tfds.features.Text(), "text": tfds.features.Text()}
            ),
            disable_shuffling=True,
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[int, dict[str, str]]]]:
        del dl_manager
        return {
            "train": self._generate_examples(held_out=False),
            "test": self._generate_examples(held_out=True),
        }

    def _generate_examples(self, held_out: bool) -> Iterator[tuple[int, dict[str, str]]]:
        for key, (path, content) in enumerate(_standard_library()):
            if _is_held_out(path) == held_out:
                yield key, {"path": path, "text": content.decode(errors="replace")}


def open_stdlib_text(config: DataConfig) -> TfdsText:
    """Open the embedded data set, prepared in `config.folder` at first use.

    Its folder is named by the Python version and a digest of the files, so another Python, or a
    patched one, prepares its own. Raises `TransferError` when this Python ships no source files
    or the folder cannot be written.
    """
    folder = config.folder / f"python-{platform.python_version()}-{_digest()[:12]}"

    def make() -> StdlibText:
        return StdlibText(data_dir=folder, file_format="array_record")

    builder = prepared.prepare_embedded("stdlib_text", make, config.folder)
    return TfdsText(builder, config.text_feature, config.token_folder)


def _standard_library() -> Iterator[tuple[str, bytes]]:
    """Yield the relative posix path and the content of every source file, sorted by path."""
    root = pathlib.Path(sysconfig.get_path("stdlib"))
    paths = []
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in _EXCLUDED]
        paths += [pathlib.Path(folder, name) for name in files if name.endswith(".py")]
    relative = {path.relative_to(root).as_posix(): path for path in paths}
    for name in sorted(relative):
        yield name, relative[name].read_bytes()


def _digest() -> str:
    digest = hashlib.sha256()
    empty = True
    for path, content in _standard_library():
        empty = False
        digest.update(f"{path}\0{len(content)}\0".encode())
        digest.update(content)
    if empty:
        raise TransferError(
            f"This Python has no standard library sources in {sysconfig.get_path('stdlib')}; "
            "use a Python that ships them or another data.name."
        )
    return digest.hexdigest()


def _is_held_out(path: str) -> bool:
    return int(hashlib.sha256(path.encode()).hexdigest(), 16) % _HELD_OUT_ONE_IN == 0


# Text that needs no preparation, is quick to learn, and is the same everywhere.

_ALPHABET = np.arange(0x20, 0x7F, dtype=np.uint8)  # printable ASCII: one byte, one character
_SUCCESSORS = 4
_CUMULATIVE = np.cumsum([0.7, 0.15, 0.1])  # the fourth successor takes the remaining 0.05
_CHARACTERS = 2048
_DOCUMENTS = {"train": 256, "test": 32}
_CHAIN_SEED = 0
_SPLIT_SEED = {"train": 1, "test": 2}


class Synthetic:
    """Documents drawn from one order-1 Markov chain over printable ASCII.

    Each character has 4 possible successors with probabilities (0.7, 0.15, 0.1, 0.05), so a model
    that has learned the chain reaches its entropy rate of 0.91 nats per byte, from ln 95 = 4.6.
    Splits are "train" (256 documents of 2048 characters) and "test" (32), drawn independently.
    With the byte tokenizer the vocabulary is 256.

    Example:
      >>> len(next(Synthetic().documents("train")))
      2048
    """

    token_folder = None

    def documents(self, split: str) -> Iterator[str]:
        """Yield the documents of a split; raises `TransferError` for any but train and test."""
        if split not in _DOCUMENTS:
            raise TransferError(
                f'The synthetic data set has no split "{split}"; expected "train" or "test".'
            )
        return (_ALPHABET[states].tobytes().decode() for states in _sample(split))

    def fingerprint(self, split: str) -> str:
        """Return the sha256 hex digest of the split's documents."""
        return fingerprint_documents(self.documents(split))


def open_synthetic(config: DataConfig) -> Synthetic:
    """Return the synthetic source; there is nothing to choose."""
    del config
    return Synthetic()


def _sample(split: str) -> np.ndarray:
    """Return states of all documents of a split, shape (documents, characters)."""
    n = len(_ALPHABET)
    chain = np.random.default_rng(_CHAIN_SEED)
    successors = np.argsort(chain.random((n, n)), axis=1)[:, :_SUCCESSORS]
    draws = np.random.default_rng(_SPLIT_SEED[split]).random((_CHARACTERS, _DOCUMENTS[split]))
    choices = np.searchsorted(_CUMULATIVE, draws[1:], side="right")
    states = np.empty(draws.shape, dtype=np.int64)
    states[0] = draws[0] * n
    for t, choice in enumerate(choices, start=1):
        states[t] = successors[states[t - 1], choice]
    return states.T
