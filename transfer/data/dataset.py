"""A data set, tokenized and cut into windows."""

from collections.abc import Iterator, Sequence

import numpy as np

from transfer.data.config import DataConfig
from transfer.data.fingerprint import combine_fingerprints
from transfer.data.pipeline import BatchIterator
from transfer.data.sources import Source
from transfer.data.tokenizers import Tokenizer
from transfer.data.tokens import split_tokens
from transfer.data.windows import Windows
from transfer.errors import TransferError


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
