import dataclasses
import os
import pathlib
import platform
import subprocess
import sys
import sysconfig

import numpy as np
import pytest
from refusals import refused

from transfer.data import DataConfig, load_dataset, prepared, text_sources
from transfer.data.load import open_text

from .poems import POEMS

POEM_CONFIG = DataConfig(
    name="tiny_poems", text_feature="verse", sequence_length=8, batch_size=4, eval_sequences=8
)


def poems(folder, **change):
    return dataclasses.replace(POEM_CONFIG, data_dir=str(folder), **change)


def stdlib_paths(folder: pathlib.Path, split: str) -> list[str]:
    config = DataConfig(data_dir=str(folder), text_feature="path")
    return list(open_text(config).documents(split))


def test_stdlib_splits_hold_out_whole_files(stdlib_folder):
    train, test = (stdlib_paths(stdlib_folder, split) for split in ("train", "test"))
    assert train == sorted(train)
    assert test == sorted(test)
    assert not set(train) & set(test)
    root = pathlib.Path(sysconfig.get_path("stdlib"))
    expected = {path.relative_to(root).as_posix() for path in root.rglob("*.py")}
    expected = {p for p in expected if not {"site-packages", "dist-packages"} & {*p.split("/")}}
    assert {*train, *test} == expected
    assert 0.02 < len(test) / len(expected) < 0.08


def test_stdlib_text_is_the_file(stdlib_folder):
    paths = stdlib_paths(stdlib_folder, "train")
    texts = open_text(DataConfig(data_dir=str(stdlib_folder))).documents("train")
    text = dict(zip(paths, texts, strict=True))["dataclasses.py"]
    root = pathlib.Path(sysconfig.get_path("stdlib"))
    assert text.encode() == (root / "dataclasses.py").read_bytes()


def test_another_python_prepares_its_own_data(tmp_path, monkeypatch):
    def load() -> str:
        return load_dataset(DataConfig(data_dir=str(tmp_path), sequence_length=8)).fingerprint

    files = [(f"module_{i:03}.py", b"value = %d\n" % i * 20) for i in range(80)]
    monkeypatch.setattr(text_sources, "_standard_library", lambda: iter(files))
    first = load()
    files[7] = ("module_007.py", b"patched = 7\n" * 20)
    assert load() != first
    monkeypatch.setattr(platform, "python_version", lambda: "9.9.9")
    load()
    assert len(list(tmp_path.glob("python-*"))) == 3
    assert len(list(tmp_path.glob("python-9.9.9-*"))) == 1
    monkeypatch.setattr(text_sources, "_standard_library", lambda: iter([]))
    with refused():
        load()


def test_first_use_is_silent_and_safe_in_two_processes_at_once(tmp_path):
    program = (
        "from transfer.data import DataConfig, load_dataset, prepared\n"
        f"print(load_dataset(DataConfig(data_dir={str(tmp_path)!r})).fingerprint)"
    )
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(2)
    ]
    (first, noise), (second, more_noise) = (process.communicate() for process in processes)
    assert (noise, more_noise) == ("", "")
    assert first == second
    assert len(first.split()) == 1
    assert not [*tmp_path.rglob("*incomplete*"), *tmp_path.rglob("*.partial")]


def test_stdlib_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with refused(tmp_path / "file"):
        load_dataset(DataConfig(data_dir=str(tmp_path / "file")))


def test_any_tfds_text_data_set_by_name(poems_folder):
    dataset = load_dataset(poems(poems_folder))
    assert list(dataset.documents()) == POEMS["train"]
    tail = load_dataset(poems(poems_folder, train_split="train[50%:]"))
    assert list(tail.documents()) == POEMS["train"][30:]
    assert tail.fingerprint != dataset.fingerprint
    held_out = "\0".join(POEMS["test"]).encode()
    for row in dataset.eval_batches().reshape(-1, 9):
        assert bytes(row.astype(np.uint8)) in held_out


def test_large_splits_are_fingerprinted_without_reading_them(poems_folder, monkeypatch):
    source = open_text(poems(poems_folder))
    content = source.fingerprint("train")
    monkeypatch.setattr(prepared, "CONTENT_LIMIT", 0)
    monkeypatch.setattr(text_sources.TfdsText, "documents", None)
    splits = ["train", "test", "train[:10]", "train[10:20]"]
    recorded = [source.fingerprint(split) for split in splits]
    assert recorded == [source.fingerprint(split) for split in splits]
    assert len({content, *recorded}) == 5


def test_a_named_folder_without_the_data_set_is_an_error_and_stays_untouched(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "missing", tmp_path / "empty"):
        with refused(folder, "tfds build tiny_poems"):
            load_dataset(poems(folder))
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def test_the_default_folder_is_filled_on_demand(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFER_DATA_DIR", str(tmp_path))
    assert list(load_dataset(POEM_CONFIG).documents()) == POEMS["train"]
    assert {path.name for path in tmp_path.iterdir()} >= {"tiny_poems", "tokens"}
    unreachable = dataclasses.replace(POEM_CONFIG, name="unreachable_poems")
    with refused():
        load_dataset(unreachable)


def test_default_folder_without_the_environment_variable(monkeypatch):
    monkeypatch.delenv("TRANSFER_DATA_DIR", raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    assert str(DataConfig().folder) == "/home/someone/.cache/transfer/data"
    assert str(DataConfig(data_dir="gs://b/d").folder) == "gs://b/d"
    assert str(DataConfig(data_dir="gs://b/d").token_folder).startswith("/home/someone/")


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"name": "tiny_poem"}, ("tiny_poem", "tiny_poems")),
        ({"name": "tiny poems:x"}, ("tiny poems:x",)),
        ({"text_feature": "vers"}, ("vers", "verse")),
        ({"text_feature": "line"}, ("line", "verse")),
        ({"train_split": "training"}, ("training", "train", "test")),
        ({"train_split": "train[:x"}, ("train[:x",)),
        ({"train_split": "train[:0]"}, ("train[:0]",)),
        ({"eval_split": "test[:1]", "sequence_length": 400}, ("test[:1]",)),
    ],
)
def test_bad_inputs(poems_folder, change, names):
    with refused(*names) as caught:
        load_dataset(poems(poems_folder, **change))
    assert "\n" not in str(caught.value)


def test_files_that_tfds_cannot_read(tmp_path, poems_folder):
    target = tmp_path / "tiny_poems" / "1.0.0"
    target.mkdir(parents=True)
    for file in (poems_folder / "tiny_poems" / "1.0.0").glob("*.json"):
        (target / file.name).write_bytes(file.read_bytes())
    with refused("array_record"):
        load_dataset(poems(tmp_path))
