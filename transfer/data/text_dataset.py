"""Text as a data set: tokenized once into a flat array, which is cut into windows."""

import copy
import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import numpy as np

from transfer.atomic import atomic_write
from transfer.data.config import DataConfig
from transfer.data.fingerprint import combine_fingerprints
from transfer.data.pipeline import BatchIterator, require_a_batch
from transfer.data.text_sources import Source
from transfer.data.tokenizers import Tokenizer
from transfer.errors import TransferError


class Windows:
    """Overlapping windows of `sequence_length + 1` tokens at a stride of `sequence_length`.

        window i = tokens[i * sequence_length : (i + 1) * sequence_length + 1]

    Each window's last token is the next one's first: every token but the first is predicted once.

    Example:
      >>> Windows(np.arange(9), sequence_length=4).take([0, 1])
      array([[0, 1, 2, 3, 4],
             [4, 5, 6, 7, 8]], dtype=int32)
    """

    uniforms = 0
    reading_threads = 0  # a batch takes tens of microseconds

    def __init__(self, tokens: np.ndarray, sequence_length: int):
        self._count = max(0, (len(tokens) - 1) // sequence_length)
        if self._count:
            every = np.lib.stride_tricks.sliding_window_view(tokens, sequence_length + 1)
            self._windows = every[::sequence_length]

    def __len__(self) -> int:
        return self._count

    def take(
        self, indices: np.ndarray | list[int], uniforms: np.ndarray | None = None
    ) -> np.ndarray:
        """Return windows by index, int32 of shape (indices, sequence_length + 1)."""
        del uniforms  # nothing about a window is random
        return self._windows[indices].astype(np.int32)


class Dataset:
    """Training and held-out windows of one data set under one tokenizer.

    vocabulary_size  ids are in [0, vocabulary_size)
    fingerprint      sha256 hex digest of training text, held-out text and tokenizer, the text
                     itself below 1 GiB a split and TFDS's record of it from there on
    tokenizer        encodes and decodes
    config           what was loaded

    Raises `TransferError` when a split holds less than one batch.
    """

    def __init__(self, config: DataConfig, source: Source, tokenizer: Tokenizer):
        self.config = config
        self._source = source
        train, held_out = (
            source.fingerprint(split) for split in (config.train_split, config.eval_split)
        )
        self.tokenizer = tokenizer
        self.vocabulary_size = tokenizer.vocabulary_size
        self.fingerprint = combine_fingerprints(train, held_out, tokenizer.fingerprint)
        self._train = self._windows(config.train_split, train)
        self._held_out = self._windows(config.eval_split, held_out)
        if config.eval_sequences < config.batch_size:
            raise TransferError(
                f"data.eval_sequences is {config.eval_sequences}; expected at least one batch of "
                f"{config.batch_size}: raise it or lower data.batch_size."
            )

    def in_batches_of(self, size: int) -> "Dataset":
        """Return the same data in batches of another size.

        Raises `TransferError` when a split holds less than one such batch.

        Example:
          >>> from transfer.data import load_dataset
          >>> load_dataset(DataConfig(name="synthetic")).in_batches_of(8).eval_batches().shape
          (32, 8, 65)
        """
        if size == self.config.batch_size:
            return self
        require_a_batch(size, len(self._train), len(self._held_out), self.config.eval_sequences)
        same = copy.copy(self)
        same.config = dataclasses.replace(self.config, batch_size=size)
        return same

    @property
    def held_out_examples(self) -> int:
        """How many windows an evaluation reads."""
        size = self.config.batch_size
        return min(self.config.eval_sequences, len(self._held_out)) // size * size

    def batches(self, seed: int, *, rows: Sequence[int] | None = None) -> BatchIterator:
        """Return endless training batches, int32 (local batch, sequence_length + 1) each.

        Every window comes once per epoch, in an order set by `seed` and shuffled anew each epoch.
        With `rows`, one of several processes gets only those rows of the batch that a single
        process would get. Raises `TransferError` when the batch has no such row.

        Example:
          >>> from transfer.data import load_dataset
          >>> batches = load_dataset(DataConfig(name="synthetic")).batches(seed=0)
          >>> next(batches).shape, batches.get_state()
          ((16, 65), {'next_index': 1})
        """
        return BatchIterator(self._train, self.config.batch_size, seed, rows)

    def eval_batches(self) -> np.ndarray:
        """Return held-out batches, int32 (batches, batch_size, sequence_length + 1).

        They are the same at every call and on every process, spread evenly over the split:
        `eval_sequences` windows, or as many as there are, rounded down to whole batches.
        """
        size = self.config.batch_size
        count = min(self.config.eval_sequences, len(self._held_out)) // size
        indices = np.arange(count * size) * len(self._held_out) // (count * size)
        return self._held_out.take(indices).reshape(count, size, -1)

    def documents(self) -> Iterator[str]:
        """Yield the training documents as text, for instance to train a tokenizer."""
        return self._source.documents(self.config.train_split)

    def _windows(self, split: str, content_fingerprint: str) -> Windows:
        tokens = split_tokens(self._source, split, content_fingerprint, self.tokenizer)
        windows = Windows(tokens, self.config.sequence_length)
        if len(windows) < self.config.batch_size:
            raise TransferError(
                f'The split "{split}" of {self.config.name} has {len(tokens)} tokens, which make '
                f"{len(windows)} sequences of {self.config.sequence_length}; expected at least "
                f"one batch of {self.config.batch_size}: widen the split or lower "
                "data.sequence_length or data.batch_size."
            )
        return windows


def split_tokens(
    source: Source, split: str, content_fingerprint: str, tokenizer: Tokenizer
) -> np.ndarray:
    """Return all tokens of a split, shape (tokens,), a separator after each document.

    The ids are uint8, uint16 or uint32, whichever is the smallest that holds the vocabulary. They
    are written once, a document at a time, to a `.npy` file named by the content, the tokenizer
    and the split, and mapped into memory from there. A file shorter than its header says is
    written again. Raises `TransferError` when the folder cannot be written.
    """
    documents = _tokenize(source, split, tokenizer)
    if source.token_folder is None:
        return np.concatenate(list(documents))
    key = combine_fingerprints(content_fingerprint, tokenizer.fingerprint, split)
    path = pathlib.Path(source.token_folder / f"{key[:32]}.npy")
    try:
        return _map(path)
    except (OSError, EOFError, ValueError):  # missing, empty, or cut short
        _write(path, documents, _dtype(tokenizer))
        return _map(path)


def _dtype(tokenizer: Tokenizer) -> np.dtype:
    return np.min_scalar_type(tokenizer.vocabulary_size - 1)


def _tokenize(source: Source, split: str, tokenizer: Tokenizer) -> Iterator[np.ndarray]:
    dtype = _dtype(tokenizer)
    for document in source.documents(split):
        yield np.append(tokenizer.encode(document).astype(dtype), dtype.type(tokenizer.separator))


def _map(path: pathlib.Path) -> np.ndarray:
    tokens: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return tokens


def _write(path: pathlib.Path, documents: Iterable[np.ndarray], dtype: np.dtype) -> None:
    with atomic_write(path) as file:
        _write_header(file, dtype, 0)
        length = 0
        for tokens in documents:
            file.write(tokens.tobytes())
            length += len(tokens)
        file.seek(0)
        _write_header(file, dtype, length)


def _write_header(file: BinaryIO, dtype: np.dtype, length: int) -> None:
    """Write a `.npy` header, padded by numpy so that any length takes the same room."""
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": (length,),
    }
    np.lib.format.write_array_header_1_0(file, header)
