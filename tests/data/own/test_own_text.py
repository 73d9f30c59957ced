"""Files of one's own as a data set: splits, fingerprints, positions, and sets too small."""

import dataclasses
import json
import os
import pathlib

import numpy as np
import pytest
from refusals import refused

from transfer.data import DataConfig, PopulationBatches, load_dataset, prepared
from transfer.data.own_files import is_held_out

from . import corpus


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """Files of several formats, in folders."""
    root = tmp_path / "corpus"
    (root / "b").mkdir(parents=True)
    corpus.write_jsonl(root / "a.jsonl")
    corpus.write_parquet(root / "b" / "c.parquet")
    (root / "d.py").write_text("import os\n")
    (root / ".hidden").write_bytes(b"\xff")
    return root


def test_a_document_is_on_one_side_by_its_content_alone(folder, opened):
    source = opened(folder)
    train, test = (list(source.documents(split)) for split in ("train", "test"))
    held_out = [document for document in corpus.DOCUMENTS if is_held_out(document.encode())]
    assert test == held_out * 2  # the same documents are in two files
    assert len(train) + len(test) == 2 * 80 + 1
    assert not set(train) & set(test)
    assert 0 < len(held_out) < 20
    renamed = folder.rename(folder.with_name("elsewhere"))
    (renamed / "a.jsonl").rename(renamed / "z.jsonl")
    assert set(opened(renamed).documents("test")) == set(test)


def test_folders_named_train_and_test_are_the_splits(folder, opened, tmp_path):
    root = tmp_path / "split"
    root.mkdir()
    (root / "README").write_bytes(b"\xff no text")
    folder.rename(root / "train")
    (root / "validation").mkdir()
    corpus.write_csv(root / "validation" / "a.csv")
    source = opened(root)
    assert list(source.documents("validation")) == corpus.DOCUMENTS
    assert len(list(source.documents("train"))) == 161
    with refused(root, "test", "train, validation", "data.eval_split"):
        source.documents("test")
    before = source.fingerprint("train")
    (root / "validation" / "b.txt").write_text("more")
    assert opened(root).fingerprint("train") == before


def test_two_loads_agree_and_a_position_is_taken_up_again(folder, configured):
    first = load_dataset(configured(folder))
    batches = PopulationBatches(first, [0, 3])
    batches.take(3)
    state = json.loads(json.dumps(batches.get_state()))
    expected = batches.take(2)
    again = load_dataset(configured(folder))
    assert again.fingerprint == first.fingerprint
    resumed = PopulationBatches(again, [0, 3])
    resumed.set_state(state)
    np.testing.assert_array_equal(resumed.take(2), expected)


def test_each_process_reads_its_rows_of_what_one_would_read(folder, configured):
    dataset = load_dataset(configured(folder))
    whole = dataset.batches(seed=1)
    parts = [load_dataset(configured(folder)).batches(1, rows=rows) for rows in ([0, 3], [1, 2])]
    for _ in range(3):
        batch = next(whole)
        np.testing.assert_array_equal(next(parts[0]), batch[[0, 3]])
        np.testing.assert_array_equal(next(parts[1]), batch[[1, 2]])


def test_tokenization_that_was_cut_off_starts_again_and_ends_with_the_same(folder, configured):
    config = configured(folder)
    expected = next(load_dataset(config).batches(0))
    tokens = list(pathlib.Path(config.data_dir, "tokens").iterdir())
    assert len(tokens) == 2
    for file in tokens:
        file.write_bytes(file.read_bytes()[:200])
    np.testing.assert_array_equal(next(load_dataset(config).batches(0)), expected)


def test_the_fingerprint_follows_content_and_field_and_not_the_place(folder, configured, tmp_path):
    def fingerprint(path=folder, **change):
        return load_dataset(configured(path, **change)).fingerprint

    base = fingerprint()
    changed = {fingerprint(text_feature="url")}
    (folder / "d.py").write_text("import sys\n")
    changed.add(fingerprint())
    (folder / "d.py").unlink()
    changed.add(fingerprint())
    (folder / "d.py").write_text("import os\n")
    assert fingerprint() == base
    assert fingerprint(folder.rename(tmp_path / "elsewhere")) == base
    assert len({base, *changed}) == 4


def test_large_files_are_read_for_the_fingerprint_once(folder, opened, monkeypatch):
    monkeypatch.setattr(prepared, "CONTENT_LIMIT", 0)
    before = opened(folder).fingerprint("train")
    with monkeypatch.context() as patched:
        patched.setattr("transfer.data.own_files._digest", None)
        assert opened(folder).fingerprint("train") == before
    (folder / "d.py").write_text("import sys")
    os.utime(folder / "d.py", (0, 0))
    assert opened(folder).fingerprint("train") != before


def test_the_digest_on_record_is_that_of_reading_all(folder, opened, monkeypatch):
    read = opened(folder).fingerprint("train")
    monkeypatch.setattr(prepared, "CONTENT_LIMIT", 0)
    assert opened(folder).fingerprint("train") == read


def test_a_link_to_a_folder_above_is_followed_once(folder, opened):
    before = list(opened(folder).documents("train"))
    (folder / "b" / "up").symlink_to(folder)
    assert list(opened(folder).documents("train")) == before


@pytest.mark.parametrize(
    ("content", "names"), [("0123456789", ("train", 11)), ("", ("train and test", 0))]
)
def test_one_tiny_file_is_refused(tmp_path, configured, content, names):
    (tmp_path / "tiny.txt").write_text(content)
    with refused(tmp_path / "tiny.txt", *names):
        load_dataset(configured(tmp_path / "tiny.txt"))


def test_too_little_text_for_a_batch_is_refused(folder, configured):
    with refused(f"folder:{folder}", "train", 4000, "data.batch_size"):
        load_dataset(configured(folder, batch_size=4000, eval_sequences=4000))


def test_an_empty_folder_and_one_that_is_not_there_are_refused(tmp_path, configured):
    (tmp_path / "empty").mkdir()
    with refused(tmp_path / "empty"):
        load_dataset(configured(tmp_path / "empty"))
    with refused(tmp_path / "nowhere"):
        load_dataset(configured(tmp_path / "nowhere"))
    with refused("folder:", "data.name"):
        load_dataset(DataConfig(name="folder:"))


def test_a_split_that_there_is_not(folder, configured):
    with refused("train[:1%]", "train, test"):
        load_dataset(configured(folder, train_split="train[:1%]"))


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_path_without_the_prefix_is_told_with_it(folder, configured, kind):
    path = folder if kind == "folder" else folder / "a.jsonl"
    config = dataclasses.replace(configured(folder), name=str(path))
    with refused(f"folder:{path}", "docs/data.md"):
        load_dataset(config)


def test_an_unknown_name_points_to_the_page_on_data(configured, tmp_path):
    with refused("folder:PATH", "docs/data.md"):
        load_dataset(dataclasses.replace(configured(tmp_path), name="my_corpus"))
