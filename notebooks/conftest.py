"""Runs the notebooks small and compiles them quickly, unless the environment says otherwise."""

import os

os.environ.setdefault("NOTEBOOK_SIZE", "small")
# Small runs are over before a program that took twice as long to compile has paid off.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
