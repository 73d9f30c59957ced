"""Runs notebooks small and compiles them quickly, unless the environment says otherwise.

Without `--full`, the first one alone is run.
"""

import os
from unittest import mock

import pytest
from compilation import QUICK

# Small runs are over before a program that took longer to compile has paid off.
SMALL = {"NOTEBOOK_SIZE": "small", "XLA_FLAGS": QUICK}
SAMPLE = "01_quick_tour.ipynb"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.suffix == ".ipynb" and item.path.name != SAMPLE:
            item.add_marker(pytest.mark.full)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call():
    """Around what runs in this folder alone: other tests are compiled as programs of users are."""
    with mock.patch.dict(os.environ, SMALL | os.environ):
        return (yield)
