"""The page of tables explains every column that is written, and no other."""

import pathlib
import re

import pytest

from transfer.run_directory import GAINS_SCHEMA, METRICS_SCHEMA, SPECTRUM_SCHEMA, RunDirectory
from transfer.run_directory.tables import TRIALS_SCHEMA

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "tables.md"


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("trials", TRIALS_SCHEMA),
        ("metrics", METRICS_SCHEMA),
        ("spectrum", SPECTRUM_SCHEMA),
        ("gains", GAINS_SCHEMA),
    ],
)
def test_every_column_is_explained(name, schema):
    (section,) = re.findall(rf"^## {name}[/.].*?(?=^## |\Z)", PAGE.read_text(), re.M | re.S)
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert re.findall(r"`(\w+)`", " ".join(cells)) == schema.names


def test_trials_as_a_frame(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = RunDirectory(tmp_path).to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == TRIALS_SCHEMA.names
