"""Text to token ids and back: bytes, SentencePiece and Hugging Face tokenizers behind one face."""

import hashlib
import pathlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import sentencepiece
import tokenizers

from transfer.errors import TransferError

SEPARATORS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "[SEP]")


class Tokenizer(Protocol):
    """Maps text to ids in [0, vocabulary_size); `separator` follows every document.

    `fingerprint` is a sha256 hex digest that changes with any id the tokenizer could produce.
    """

    @property
    def vocabulary_size(self) -> int:
        """One more than the largest id."""

    @property
    def separator(self) -> int:
        """The id that ends a document."""

    @property
    def fingerprint(self) -> str:
        """A sha256 hex digest of the tokenizer."""

    def encode(self, text: str) -> np.ndarray:
        """Return the ids of `text`, shape (tokens,), without any id added around them."""

    def decode(self, tokens: np.ndarray | Sequence[int]) -> str:
        """Return the text of ids."""


class ByteTokenizer:
    """UTF-8 bytes as ids; a NUL byte separates documents.

    Example:
      >>> ByteTokenizer().encode("hé").tolist()
      [104, 195, 169]
    """

    vocabulary_size = 256
    separator = 0
    fingerprint = hashlib.sha256(b"bytes").hexdigest()

    def encode(self, text: str) -> np.ndarray:
        """Return the UTF-8 bytes of `text` as uint8."""
        return np.frombuffer(text.encode(), dtype=np.uint8)

    def decode(self, tokens: np.ndarray | Sequence[int]) -> str:
        """Return the text of bytes; a character cut in half becomes U+FFFD."""
        return bytes(np.asarray(tokens, dtype=np.uint8)).decode(errors="replace")


class SentencePieceTokenizer:
    """A SentencePiece model; its end-of-sentence piece separates documents.

    Raises `TransferError` when `content` is no such model or it has no end-of-sentence piece.
    """

    def __init__(self, content: bytes, name: str):
        try:
            self._processor = sentencepiece.SentencePieceProcessor()
            self._processor.LoadFromSerializedProto(content)
        except RuntimeError as error:
            raise TransferError(
                f"{name} is not a SentencePiece model; expected a .model file as written by "
                "SentencePiece or by train_tokenizer."
            ) from error
        self.vocabulary_size: int = self._processor.vocab_size()
        self.separator: int = self._processor.eos_id()
        self.fingerprint = hashlib.sha256(content).hexdigest()
        if self.separator < 0:
            raise TransferError(
                f"The tokenizer {name} has no end-of-sentence piece to separate documents; "
                "train it with eos_id set."
            )

    def encode(self, text: str) -> np.ndarray:
        """Return the piece ids of `text` as uint32."""
        return np.asarray(self._processor.encode(text), dtype=np.uint32)

    def decode(self, tokens: np.ndarray | Sequence[int]) -> str:
        """Return the text of piece ids; the separator has none."""
        return str(self._processor.decode(np.asarray(tokens).tolist()))


class HuggingFaceTokenizer:
    """A Hugging Face `tokenizer.json`; its end-of-text token separates documents.

    A special token spelled out in the text is encoded as ordinary text, so no document can contain
    the separator. Raises `TransferError` when `content` is no such file or has no separator.
    """

    def __init__(self, content: bytes, name: str):
        try:
            self._tokenizer = tokenizers.Tokenizer.from_buffer(content)
        except Exception as error:  # the library raises nothing more specific
            raise TransferError(
                f"{name} is not a Hugging Face tokenizer ({error}); expected a tokenizer.json "
                "file as written by the tokenizers library or by train_tokenizer."
            ) from error
        self._tokenizer.encode_special_tokens = True
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=True)
        separators = [vocabulary[token] for token in SEPARATORS if token in vocabulary]
        if not separators:
            raise TransferError(
                f"The tokenizer {name} has no token to separate documents; expected one of "
                f"{', '.join(SEPARATORS)} in its vocabulary."
            )
        self.vocabulary_size = max(vocabulary.values()) + 1
        self.separator = separators[0]
        self.fingerprint = hashlib.sha256(content).hexdigest()

    def encode(self, text: str) -> np.ndarray:
        """Return the token ids of `text` as uint32."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return np.asarray(encoding.ids, dtype=np.uint32)

    def decode(self, tokens: np.ndarray | Sequence[int]) -> str:
        """Return the text of token ids; the separator has none."""
        return self._tokenizer.decode(np.asarray(tokens).tolist(), skip_special_tokens=True)


def load_tokenizer(spec: str) -> Tokenizer:
    """Return the tokenizer named by `spec`: "bytes", or the path of a `.model` or `.json` file.

    Raises `TransferError` when the file is missing, of another kind or damaged.

    Example:
      >>> load_tokenizer("bytes").vocabulary_size
      256
    """
    if spec == "bytes":
        return ByteTokenizer()
    path = pathlib.Path(spec).expanduser()
    kind = tokenizer_kind(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TransferError(
            f"The tokenizer {spec} cannot be read ({error.strerror}); set data.tokenizer to "
            '"bytes" or to an existing .model or .json file.'
        ) from error
    if kind == ".model":
        return SentencePieceTokenizer(content, spec)
    return HuggingFaceTokenizer(content, spec)


def tokenizer_kind(path: pathlib.Path) -> str:
    """Return ".model" or ".json"; raises `TransferError` for any other ending."""
    if path.suffix not in (".model", ".json"):
        raise TransferError(
            f'"{path}" names no tokenizer; expected "bytes", a SentencePiece .model file or a '
            "Hugging Face .json file."
        )
    return path.suffix
