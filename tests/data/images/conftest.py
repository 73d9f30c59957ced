import pathlib

import pytest

from transfer.data import ImageConfig, ImageDataset, load_dataset

from .pictures import ALL, BY_NAME


@pytest.fixture(scope="session")
def digits_folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A data folder in which the embedded images are prepared once for the whole session."""
    folder = tmp_path_factory.mktemp("digits")
    load_dataset(ImageConfig(data_dir=str(folder)))
    return folder


@pytest.fixture(scope="session")
def digits(digits_folder: pathlib.Path) -> ImageDataset:
    return load_dataset(ImageConfig(data_dir=str(digits_folder)))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A data folder in which all our small data sets are prepared."""
    folder = tmp_path_factory.mktemp("pictures")
    for builder in (*ALL, *BY_NAME.values()):
        builder(data_dir=folder, file_format="array_record").download_and_prepare()
    return folder
