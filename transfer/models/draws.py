"""Standard normal draws for all weights of a model, the same however the weights are split."""

import itertools
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import threefry2x32_p

from transfer.errors import TransferError

Shape = tuple[int, ...]
_WORD = 2**32
# Arrays of this many elements are counted weight by weight, since their places exceed one word.
_LARGE = _WORD


def standard_normals(
    key: jax.Array, shapes: Mapping[str, Shape], *, at_once: bool = True
) -> dict[str, jax.Array]:
    """Draw standard normal float32 arrays: one stream, cut into arrays in the order of the shapes.

    Drawing the stream at once compiles one generator where separate draws compile one for each
    array. Arrays that devices hold in parts are drawn apart (`at_once=False`), because a part of
    the stream need not be a part of an array; each element comes from its place in the stream
    alone, so both ways give the same bits.

    Arguments:
      key: a key of JAX's default generator, `jax.random.key(seed, impl="threefry2x32")`.
      shapes: by path.

    Raises `TransferError` for a key of another generator.

    Example:
      >>> key = jax.random.key(0, impl="threefry2x32")
      >>> drawn = standard_normals(key, {"up": (2, 3), "down": (3,)})
      >>> stream = jax.random.normal(key, (9,))
      >>> bool((drawn["down"] == stream[6:]).all())
      True
    """
    if (kind := str(jax.random.key_impl(key))) != "threefry2x32":
        raise TransferError(
            f"The weights are drawn with a key of the generator {kind}; expected one of "
            'jax.random.key(seed, impl="threefry2x32"), whose numbers can be split over devices.'
        )
    sizes = [math.prod(shape) for shape in shapes.values()]
    starts = [0, *itertools.accumulate(sizes)]
    total = starts.pop()
    if at_once and total < _LARGE:
        stream = _normals(key, 0, (total,))
        return {
            path: stream[start : start + size].reshape(shape)
            for start, size, (path, shape) in zip(starts, sizes, shapes.items(), strict=True)
        }
    return {
        path: _normals(key, start, shape)
        for start, (path, shape) in zip(starts, shapes.items(), strict=True)
    }


def _normals(key: jax.Array, start: int, shape: Shape) -> jax.Array:
    """The normals of the stream from a place on, as an array of this shape."""
    first, second = jax.random.key_data(key)
    high, low = _counters(start, shape)
    one, other = threefry2x32_p.bind(
        *(jnp.broadcast_to(word, shape) for word in (first, second)), high, low
    )
    # A float between 1 and 2 has the bits of its fraction at the end; the first 9 are dropped.
    mantissa = ((one ^ other) >> 9) | np.float32(1.0).view(np.uint32)
    uniform = jax.lax.bitcast_convert_type(mantissa, jnp.float32) - 1.0
    lowest = np.nextafter(np.float32(-1.0), np.float32(0.0))
    between = jnp.maximum(lowest, uniform * (np.float32(1.0) - lowest) + lowest)
    return np.float32(np.sqrt(2)) * jax.lax.erf_inv(between)


def _counters(start: int, shape: Shape) -> tuple[jax.Array, jax.Array]:
    """The places of an array's elements in the stream, in two words of 32 bits."""
    place = jnp.zeros(shape, jnp.uint32)
    rest = math.prod(shape)
    # Of a stack of weights only the places within one weight have to fit one word.
    outer = shape[0] if rest >= _LARGE else 1
    for axis, size in enumerate(shape):
        rest //= size
        if axis or outer == 1:
            place += jax.lax.broadcasted_iota(jnp.uint32, shape, axis) * np.uint32(rest)
    each = math.prod(shape) // outer
    begins = np.array([start + each * number for number in range(outer)], np.uint64)
    begins = begins.reshape(outer, *[1] * (len(shape) - 1)) if shape else begins.reshape(())
    base = (begins % _WORD).astype(np.uint32)
    low = place + base
    carry = (low < base).astype(jnp.uint32)
    return carry + (begins // _WORD).astype(np.uint32), low
