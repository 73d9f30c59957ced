import json
import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from transfer.data import DataConfig, load_dataset, load_tokenizer, train_tokenizer
from transfer.data.tokenizers import SEPARATORS
from transfer.errors import TransferError

CORPUS = [f"def function_{i}(x):\n    return x + {i}  # größer 日本\n" for i in range(200)]
SPECIAL_TEXT = "".join(SEPARATORS) + "<unk><s>"
# SentencePiece writes a space as U+2581, so that one character comes back as a space.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\u2581"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizers")
    paths = {kind: str(folder / f"bpe.{kind}") for kind in ("model", "json")}
    for path in paths.values():
        train_tokenizer(CORPUS, 400, path)
    return {"bytes": "bytes", **paths}


@pytest.fixture(scope="module", params=["bytes", "model", "json"])
def tokenizer(request, trained):
    return load_tokenizer(trained[request.param])


@settings(deadline=None, max_examples=60)
@given(text=TEXT)
def test_any_text_comes_back_exactly(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert np.issubdtype(ids.dtype, np.integer)
    assert ids.size == 0 or 0 <= ids.min() <= ids.max() < tokenizer.vocabulary_size


@pytest.mark.parametrize(
    "text", ["", " lead  and trail \r\n\t", "🎉\u200d👩🏽\u2028\x85", "ﬁ e\u0301", SPECIAL_TEXT]
)
def test_hard_text_comes_back_exactly(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_no_text_encodes_to_the_separator(tokenizer):
    assert 0 <= tokenizer.separator < tokenizer.vocabulary_size
    assert tokenizer.separator not in tokenizer.encode("".join(CORPUS) + SPECIAL_TEXT)


def test_nothing_is_added_around_the_text(tokenizer):
    whole = tokenizer.encode("return x\n")
    assert tokenizer.decode(whole[:1]) == "return x\n"[: len(tokenizer.decode(whole[:1]))]
    assert tokenizer.encode("").size == 0


def test_bytes_are_utf8():
    tokenizer = load_tokenizer("bytes")
    assert (tokenizer.vocabulary_size, tokenizer.separator) == (256, 0)
    assert tokenizer.encode("hé").tolist() == [104, 195, 169]
    assert tokenizer.decode([104, 195]) == "h\ufffd"


@pytest.mark.parametrize("kind", ["model", "json"])
def test_training_finds_merges(trained, kind):
    tokenizer = load_tokenizer(trained[kind])
    assert 256 < tokenizer.vocabulary_size <= 400
    text = CORPUS[0]
    assert len(tokenizer.encode(text)) < len(text.encode()) / 2


def test_fingerprints_differ_by_kind_and_content(trained, tmp_path):
    other = train_tokenizer(CORPUS[:20], 300, str(tmp_path / "other.json"))
    fingerprints = [load_tokenizer(spec).fingerprint for spec in trained.values()]
    assert len({*fingerprints, other.fingerprint}) == 4
    assert load_tokenizer(trained["json"]).fingerprint == fingerprints[2]


@pytest.mark.parametrize("kind", ["model", "json"])
def test_a_data_set_reads_through_a_trained_tokenizer(trained, kind):
    config = DataConfig(name="synthetic", tokenizer=trained[kind])
    dataset = load_dataset(config)
    assert dataset.vocabulary_size == load_tokenizer(trained[kind]).vocabulary_size
    row = next(dataset.batches(0))[0]
    text = "\0".join(dataset.documents())
    longest = max(dataset.tokenizer.decode(row).split("\n"), key=len)
    assert longest[:20] in text


@pytest.mark.parametrize("kind", ["model", "json"])
def test_training_errors_leave_no_file(tmp_path, kind):
    path = tmp_path / f"bpe.{kind}"
    with refused(200):
        train_tokenizer(CORPUS, 200, str(path))
    with refused():
        train_tokenizer(["", ""], 400, str(path))

    def interrupted():
        yield "some text\n"
        raise RuntimeError("source went away")

    with pytest.raises((RuntimeError, TransferError)):
        train_tokenizer(interrupted(), 400, str(path))
    assert not list(tmp_path.iterdir())


def test_sentencepiece_needs_room_for_every_common_character(tmp_path):
    alphabet = ["".join(map(chr, range(0x4E00, 0x4F00)))] * 20
    with refused(270):
        train_tokenizer(alphabet, 270, str(tmp_path / "bpe.model"))


def test_unusable_files(tmp_path):
    for name, content in {"a.model": b"garbage", "empty.model": b"", "a.json": b"{}"}.items():
        (tmp_path / name).write_bytes(content)
        with refused(name):
            load_tokenizer(str(tmp_path / name))
    with refused("bpe.txt"):
        train_tokenizer(CORPUS, 400, str(tmp_path / "bpe.txt"))


def test_a_tokenizer_without_a_separator_is_refused(tmp_path, trained):
    content = json.loads(pathlib.Path(trained["json"]).read_text())
    content["added_tokens"] = []
    del content["model"]["vocab"][SEPARATORS[0]]
    file = tmp_path / "bare.json"
    file.write_text(json.dumps(content))
    with refused(file):
        load_tokenizer(str(file))
