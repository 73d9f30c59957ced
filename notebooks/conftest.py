"""Runs the notebooks small and compiles them quickly, unless the environment says otherwise."""

import os
from unittest import mock

import pytest

SMALL = {
    "NOTEBOOK_SIZE": "small",
    # Small runs are over before a program that took twice as long to compile has paid off.
    "XLA_FLAGS": "--xla_backend_optimization_level=0",
}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call():
    """Around what runs in this folder alone: other tests are compiled as programs of users are."""
    with mock.patch.dict(os.environ, SMALL | os.environ):
        return (yield)
