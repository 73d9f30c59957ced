"""The precision of arithmetic: in float32 or better, whatever the dtype of the arrays."""

from typing import Any

import jax.numpy as jnp

_FLOAT32_BYTES = 4


def precise_dtype(dtype: Any) -> Any:
    """Return the float32, or float64, that values of a dtype are computed in.

    JAX promotes no float of 8 bits by itself, because it has several formats of them.

    Example:
      >>> precise_dtype("bfloat16"), precise_dtype("float8_e5m2"), precise_dtype("float64")
      (dtype('float32'), dtype('float32'), dtype('float64'))
    """
    dtype = jnp.dtype(dtype)
    if dtype.itemsize < _FLOAT32_BYTES:
        return jnp.dtype(jnp.float32)
    return jnp.promote_types(dtype, jnp.float32)


def precise(value: Any) -> Any:
    """Return an array in float32 or better; a Python number, which takes any dtype, as it is."""
    if isinstance(value, int | float):
        return value
    return value.astype(precise_dtype(value.dtype))
