"""Measurements of a model: pure functions that run inside jit."""

from transfer.probes.gain import (
    SUBLAYER_QUANTITIES,
    Sublayer,
    alignment,
    equilibrium_rms,
    relative_update,
    spectrum_shape,
    stable_rank,
    weight_rms,
)
from transfer.probes.spectrum import (
    Spectrum,
    convolution_norm,
    initial_vectors,
    measure_spectrum,
    top_singular_values,
)
from transfer.probes.tracking import track_spectrum, tracked_vectors

__all__ = [
    "SUBLAYER_QUANTITIES",
    "Spectrum",
    "Sublayer",
    "alignment",
    "convolution_norm",
    "equilibrium_rms",
    "initial_vectors",
    "measure_spectrum",
    "relative_update",
    "spectrum_shape",
    "stable_rank",
    "top_singular_values",
    "track_spectrum",
    "tracked_vectors",
    "weight_rms",
]
