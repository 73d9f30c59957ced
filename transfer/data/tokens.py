"""A split as one flat array of token ids, made once and then mapped from a file."""

import pathlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np

from transfer.atomic import atomic_write
from transfer.data.fingerprint import combine_fingerprints
from transfer.data.sources import Source
from transfer.data.tokenizers import Tokenizer


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
