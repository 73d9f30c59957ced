"""What is measured on a model: pure functions that run inside jit."""

from transfer.probes.convolution import convolution_norm
from transfer.probes.spectrum import (
    Spectrum,
    initial_vectors,
    measure_spectrum,
    top_singular_values,
)
from transfer.probes.tracking import track_spectrum, tracked_vectors

__all__ = [
    "Spectrum",
    "convolution_norm",
    "initial_vectors",
    "measure_spectrum",
    "top_singular_values",
    "track_spectrum",
    "tracked_vectors",
]
