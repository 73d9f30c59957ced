"""What every source of text offers."""

from collections.abc import Iterator
from typing import Protocol

from etils import epath


class Source(Protocol):
    """Documents by split, in a fixed order, with a fingerprint of what they hold."""

    @property
    def token_folder(self) -> epath.Path | None:
        """Where its token files go; None when it is small enough to be tokenized in memory."""

    def documents(self, split: str) -> Iterator[str]:
        """Yield the documents of a split; raises `TransferError` for a split it does not have."""

    def fingerprint(self, split: str) -> str:
        """Return a sha256 hex digest that changes with the documents of the split."""
