import pathlib

import pytest

from transfer.data import DataConfig, Dataset, load_dataset

from .poems import TinyPoems


@pytest.fixture(scope="session")
def stdlib_folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A data folder in which the embedded data set is prepared once for the whole session."""
    folder = tmp_path_factory.mktemp("data")
    load_dataset(DataConfig(data_dir=str(folder)))
    return folder


@pytest.fixture(scope="session")
def stdlib(stdlib_folder: pathlib.Path) -> Dataset:
    return load_dataset(DataConfig(data_dir=str(stdlib_folder)))


@pytest.fixture(scope="session")
def poems_folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("poems")
    TinyPoems(data_dir=folder, file_format="array_record").download_and_prepare()
    return folder
