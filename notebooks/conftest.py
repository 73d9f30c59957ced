"""Runs the notebooks small and compiles them quickly, unless the environment says otherwise."""

import os
from unittest import mock

import pytest
from compilation import QUICK

# Small runs are over before a program that took longer to compile has paid off.
SMALL = {"NOTEBOOK_SIZE": "small", "XLA_FLAGS": QUICK}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call():
    """Around what runs in this folder alone: other tests are compiled as programs of users are."""
    with mock.patch.dict(os.environ, SMALL | os.environ):
        return (yield)
