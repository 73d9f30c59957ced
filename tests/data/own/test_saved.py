"""Data sets that Hugging Face's library saved to disk, read without it.

`saved` was written by datasets 5.2.0: every second of 90 rows, shuffled, in two files, beside 12
for validation; and 40 rows without splits.
"""

import json
import pathlib
import shutil

import numpy as np
import pytest
from refusals import refused

from transfer.data import load_dataset
from transfer.data.own_files import is_held_out

SAVED = pathlib.Path(__file__).parent / "saved"


def text(split: str, i: int) -> str:
    return f"{split} document {i}: tiger, tiger, burning bright in naïve 夜"


def test_the_splits_of_a_saved_dictionary_are_read_as_they_are(opened, configured):
    source = opened(SAVED / "dict")
    assert source.field == "content"
    train = list(source.documents("train"))
    assert sorted(train) == sorted(text("train", i) for i in range(1, 90, 2))
    assert train != sorted(train)
    assert list(source.documents("validation")) == [text("validation", i) for i in range(12)]
    dataset = load_dataset(configured(SAVED / "dict", eval_split="validation"))
    assert dataset.eval_batches().shape == (2, 4, 9)
    with refused("test", "train, validation"):
        opened(SAVED / "dict").documents("test")


def test_a_saved_data_set_without_splits_is_held_out_by_a_hash(opened):
    source = opened(SAVED / "single")
    documents = [text("single", i) for i in range(40)]
    held_out = [is_held_out(document.encode()) for document in documents]
    for split, side in (("train", False), ("test", True)):
        expected = [d for d, held in zip(documents, held_out, strict=True) if held == side]
        assert list(source.documents(split)) == expected


def test_caches_beside_a_saved_data_set_are_not_read(tmp_path, opened):
    before = opened(SAVED / "single").fingerprint("train")
    copy = shutil.copytree(SAVED / "single", tmp_path / "copy")
    shutil.copy(copy / "data-00000-of-00001.arrow", copy / "cache-0f3a.arrow")
    assert opened(copy).fingerprint("train") == before


@pytest.mark.parametrize("state", ["{", "{}", '{"_data_files": [], "_indices_data_files": [1]}'])
def test_a_saved_data_set_that_is_not_whole(tmp_path, opened, state):
    copy = shutil.copytree(SAVED / "single", tmp_path / "copy")
    (copy / "state.json").write_text(state)
    with refused(copy):
        opened(copy)
    (copy / "state.json").write_text(json.dumps({"_data_files": [{"filename": "gone.arrow"}]}))
    with refused(copy):
        opened(copy)


def test_what_the_library_saves_now_reads_the_same(tmp_path, opened):
    datasets = pytest.importorskip("datasets")
    rows = {"text": [text("now", i) for i in range(300)], "id": np.arange(300)}
    saved = datasets.Dataset.from_dict(rows).filter(lambda row: row["id"] % 3 == 0)
    saved.save_to_disk(tmp_path / "now")
    source = opened(tmp_path / "now")
    found = [each for split in ("train", "test") for each in source.documents(split)]
    assert sorted(found) == sorted(saved["text"])
