import pathlib
from collections.abc import Iterator

import numpy as np
import pytest
from refusals import refused

from transfer.data.fingerprint import fingerprint_documents
from transfer.data.text_dataset import split_tokens
from transfer.data.tokenizers import ByteTokenizer

DOCUMENTS = ["import os\n", "", "naïve = 'ok'\n"]
TOKENS = np.frombuffer(b"".join(d.encode() + b"\0" for d in DOCUMENTS), dtype=np.uint8)


class ListSource:
    """Documents from memory, counting how often they are read."""

    def __init__(self, token_folder: pathlib.Path | None, documents: list[str] = DOCUMENTS):
        self.token_folder = token_folder
        self.reads = 0
        self._documents = documents

    def documents(self, split: str) -> Iterator[str]:
        self.reads += 1
        yield from self._documents

    def fingerprint(self, split: str) -> str:
        return fingerprint_documents(self._documents)


class WideTokenizer(ByteTokenizer):
    """Bytes shifted to the top of a larger vocabulary."""

    def __init__(self, vocabulary_size: int):
        self.vocabulary_size = vocabulary_size
        self.separator = vocabulary_size - 1
        self.fingerprint = f"wide {vocabulary_size}"

    def encode(self, text: str) -> np.ndarray:
        return super().encode(text).astype(np.uint32) + (self.vocabulary_size - 257)


def tokens(source: ListSource, tokenizer=None, split: str = "train") -> np.ndarray:
    return split_tokens(source, split, source.fingerprint(split), tokenizer or ByteTokenizer())


def only_file(folder: pathlib.Path) -> pathlib.Path:
    (file,) = folder.iterdir()
    return file


def test_tokens_are_documents_with_separators_and_written_once(tmp_path):
    source = ListSource(tmp_path / "tokens")
    first, second = tokens(source), tokens(source)
    np.testing.assert_array_equal(first, TOKENS)
    np.testing.assert_array_equal(second, TOKENS)
    assert isinstance(second, np.memmap)
    assert not second.flags.writeable
    assert source.reads == 1


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(tokens(ListSource(None)), TOKENS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("vocabulary_size", "dtype"),
    [(256, np.uint8), (257, np.uint16), (2**16, np.uint16), (2**16 + 1, np.uint32)],
)
def test_smallest_type_that_holds_the_vocabulary(tmp_path, vocabulary_size, dtype):
    tokenizer = WideTokenizer(vocabulary_size) if vocabulary_size > 256 else ByteTokenizer()
    result = tokens(ListSource(tmp_path), tokenizer)
    assert result.dtype == dtype
    expected = np.concatenate([[*tokenizer.encode(d), tokenizer.separator] for d in DOCUMENTS])
    np.testing.assert_array_equal(result, expected)


def test_each_content_tokenizer_and_split_has_its_own_file(tmp_path):
    tokens(ListSource(tmp_path))
    tokens(ListSource(tmp_path, [*DOCUMENTS, "more"]))
    tokens(ListSource(tmp_path), WideTokenizer(300))
    tokens(ListSource(tmp_path), split="test")
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("kept", [0, 5, 100, 128, 135, -1])
def test_a_truncated_file_is_written_again(tmp_path, kept):
    tokens(ListSource(tmp_path))
    file = only_file(tmp_path)
    file.write_bytes(file.read_bytes()[:kept])
    source = ListSource(tmp_path)
    np.testing.assert_array_equal(tokens(source), TOKENS)
    assert source.reads == 1
    np.testing.assert_array_equal(np.load(only_file(tmp_path)), TOKENS)


def test_a_failed_write_leaves_no_file(tmp_path):
    class Broken(ListSource):
        def documents(self, split):
            yield "a" * 100_000
            raise RuntimeError("disk went away")

    with pytest.raises(RuntimeError, match="disk went away"):
        tokens(Broken(tmp_path))
    assert not list(tmp_path.iterdir())


def test_two_writers_at_once_both_end_with_the_whole(tmp_path):
    class Raced(ListSource):
        """While its documents are written, another writer starts and finishes."""

        def documents(self, split):
            yield DOCUMENTS[0]
            assert [file.suffix for file in tmp_path.iterdir()] == [".partial"]
            other = ListSource(tmp_path)
            np.testing.assert_array_equal(tokens(other), TOKENS)
            assert other.reads == 1  # it did not take the half-written file
            yield from DOCUMENTS[1:]

    np.testing.assert_array_equal(tokens(Raced(tmp_path)), TOKENS)
    np.testing.assert_array_equal(np.load(only_file(tmp_path)), TOKENS)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with refused(tmp_path / "file" / "tokens"):
        tokens(ListSource(tmp_path / "file" / "tokens"))


def test_fingerprint_covers_content_boundaries_and_order():
    variants = [["ab", "c"], ["a", "bc"], ["abc"], ["c", "ab"], ["ab", "C"], ["ab", "c", ""]]
    assert len({fingerprint_documents(v) for v in variants}) == len(variants)
