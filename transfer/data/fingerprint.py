"""Digests of data by content, so that a resumed or distributed run cannot mix two data sets."""

import hashlib
from collections.abc import Iterable

from transfer.errors import TransferError


def fingerprint_documents(documents: Iterable[str]) -> str:
    """Return the sha256 hex digest of documents in their order.

    Each document's length is hashed before it, so moving a boundary changes the digest.

    Example:
      >>> fingerprint_documents(["ab", "c"]) == fingerprint_documents(["a", "bc"])
      False
    """
    digest = hashlib.sha256()
    for document in documents:
        content = document.encode()
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return digest.hexdigest()


def combine_fingerprints(*parts: str) -> str:
    """Return one sha256 hex digest for an ordered tuple of names or digests."""
    return fingerprint_documents(parts)


def check_fingerprint(expected: str, actual: str, where: str) -> None:
    """Raise `TransferError` when this run's data is not the data named `expected`.

    `where` says who expects it, for instance "runs/quickstart/config.json" or "process 0".

    Example:
      >>> check_fingerprint("0f3a", "0f3a", "runs/quickstart/config.json")
    """
    if expected != actual:
        raise TransferError(
            f"The training data differs from that of {where} (fingerprint {actual[:12]}, expected "
            f"{expected[:12]}); use the same data set, splits, tokenizer and, for stdlib_text, the "
            "same Python, or start a new run."
        )
