"""What is measured on a model: pure functions that run inside jit."""

from transfer.probes.convolution import convolution_norm
from transfer.probes.spectrum import top_singular_values

__all__ = ["convolution_norm", "top_singular_values"]
