"""What tells arrays that were read back from those that were written, wherever they lie."""

import functools
import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from transfer import pytree_paths


def digests(tree: Any, trials: int) -> dict[str, int]:
    """Return a number by path, that of the first so many trials of every array.

    It is the sum, modulo 2^32, of the bits of every element hashed with its place (of its two
    halves, where it has 64): the same however the array is split over devices and however many
    trials fill its leading axis, and computed where the array lies. One wrong element of up to 32
    bits, or one wrong half, always changes it.

    Example:
      >>> digests({"kernel": jnp.array([[1.0, 2.0], [3.0, 4.0]])}, trials=1)
      {'kernel': 945941075}
    """
    leaves = pytree_paths.leaves(tree)
    found = np.asarray(_digests(list(leaves.values()), trials)) if leaves else ()
    return dict(zip(leaves, map(int, found), strict=True))


def checksum(array: np.ndarray) -> int:
    """Return the CRC-32 of an array on this host."""
    return zlib.crc32(np.ascontiguousarray(array).tobytes())


@functools.partial(jax.jit, static_argnums=1)
def _digests(leaves: list[jax.Array], trials: int) -> jax.Array:
    return jnp.stack([_digest(leaf, trials) for leaf in leaves])


def _digest(leaf: jax.Array, trials: int) -> jax.Array:
    # An element of 64 bits becomes two words, along an axis of their own.
    word = f"uint{min(8 * leaf.dtype.itemsize, 32)}"
    bits = jax.lax.bitcast_convert_type(leaf, word).astype("uint32")
    place = jnp.zeros(bits.shape, "uint32")
    for axis, size in enumerate(bits.shape):
        place = place * jnp.uint32(size) + jax.lax.broadcasted_iota("uint32", bits.shape, axis)
    kept = jax.lax.broadcasted_iota("int32", bits.shape, 0) < trials
    # The finalizer of MurmurHash3 (A. Appleby), which takes different words to different words.
    hashed = bits ^ (place * jnp.uint32(0x9E3779B9))
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        hashed = (hashed ^ (hashed >> shift)) * jnp.uint32(factor)
    hashed ^= hashed >> 16
    return jnp.sum(jnp.where(kept, hashed, 0), dtype="uint32")
