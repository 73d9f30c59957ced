import dataclasses
import pathlib
from collections.abc import Callable

import pytest

from transfer.data import DataConfig
from transfer.data.load import open_text
from transfer.data.own_text import OwnText

BASE = DataConfig(sequence_length=8, batch_size=4, eval_sequences=8)


@pytest.fixture
def configured(tmp_path: pathlib.Path) -> Callable[..., DataConfig]:
    """The configuration that reads a path of one's own, with token files apart from it."""

    def make(path: pathlib.Path, **change: object) -> DataConfig:
        change = {"data_dir": str(tmp_path / "prepared")} | change
        return dataclasses.replace(BASE, name=f"folder:{path}", **change)

    return make


@pytest.fixture
def opened(configured) -> Callable[..., OwnText]:
    def make(path: pathlib.Path, **change: object) -> OwnText:
        return open_text(configured(path, **change))

    return make
