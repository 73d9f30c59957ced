"""Trains a byte-pair tokenizer on documents."""

import io
import pathlib
from collections.abc import Iterable, Iterator

import sentencepiece
from tokenizers import Tokenizer as HuggingFaceModel
from tokenizers import decoders, models, pre_tokenizers, trainers

from transfer.atomic import atomic_write
from transfer.data import tokenizers
from transfer.errors import TransferError

_BYTES_AND_SPECIAL = {".model": 256 + 2, ".json": 256 + 1}  # unknown and end, or end alone


def train_tokenizer(
    documents: Iterable[str], vocabulary_size: int, output_path: str
) -> tokenizers.Tokenizer:
    """Train a byte-pair tokenizer, write it to `output_path` and return it.

    The ending chooses the format: `.model` is SentencePiece BPE with byte fallback, `.json` is
    Hugging Face byte-level BPE. Both reproduce any text exactly and have a token that separates
    documents. Documents too few for `vocabulary_size` give a smaller vocabulary.
    Raises `TransferError` when there is no text, the vocabulary is too small for the characters
    in it, or the file cannot be written.

    Example:
      >>> tokenizer = train_tokenizer(["to be or not to be"], 300, "/tmp/bpe.json")
      >>> tokenizer.decode(tokenizer.encode("to be"))
      'to be'
    """
    kind = tokenizers.tokenizer_kind(pathlib.Path(output_path))
    smallest = _BYTES_AND_SPECIAL[kind]
    if vocabulary_size <= smallest:
        raise TransferError(
            f"A {kind} tokenizer of {vocabulary_size} tokens has no room for merges; expected "
            f"more than {smallest}, its bytes and special tokens."
        )
    train = _train_sentencepiece if kind == ".model" else _train_hugging_face
    content = train(_lines(documents), vocabulary_size)
    with atomic_write(pathlib.Path(output_path).expanduser()) as file:
        file.write(content)
    return tokenizers.load_tokenizer(output_path)


def _lines(documents: Iterable[str]) -> Iterator[str]:
    """Yield the lines of all documents: SentencePiece skips sentences above 4 KiB."""
    empty = True
    for document in documents:
        for line in document.splitlines(keepends=True):
            empty = False
            yield line
    if empty:
        raise TransferError(
            "The documents to train a tokenizer on hold no text; expected at least one line."
        )


def _train_sentencepiece(lines: Iterator[str], vocabulary_size: int) -> bytes:
    model = io.BytesIO()
    first = next(lines)  # an error raised inside the C++ trainer's iterator would be lost
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(line for part in ([first], lines) for line in part),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocabulary_size,
            hard_vocab_limit=False,
            byte_fallback=True,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            add_dummy_prefix=False,
            unk_id=0,
            eos_id=1,
            bos_id=-1,
            pad_id=-1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise TransferError(
            f"SentencePiece cannot make {vocabulary_size} tokens of these documents "
            f"({str(error).rsplit('] ', 1)[-1].strip()}); choose another vocabulary size."
        ) from error
    return model.getvalue()


def _train_hugging_face(lines: Iterator[str], vocabulary_size: int) -> bytes:
    model = HuggingFaceModel(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[tokenizers.SEPARATORS[0]],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    model.train_from_iterator(lines, trainer)
    return model.to_str().encode()
