"""Text from a fixed Markov chain: nothing to prepare, quick to learn, the same everywhere."""

from collections.abc import Iterator

import numpy as np

from transfer.data.config import DataConfig
from transfer.data.fingerprint import fingerprint_documents
from transfer.errors import TransferError

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
