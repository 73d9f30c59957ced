"""What is measured on a model: pure functions that run inside jit."""

from transfer.probes.spectrum import top_singular_values

__all__ = ["top_singular_values"]
