"""A convolution inside a compiled loop, as training is: XLA's own against a product of windows."""

import jax
import jax.numpy as jnp

from benchmarks.options import Options
from benchmarks.results import Part
from benchmarks.side_by_side import compare
from transfer.models.convolution import convolve

STEPS = 5


def measure(part: Part, options: Options) -> None:
    image = jax.random.normal(jax.random.key(0), (32, 8, 8, 32))
    kernel = 0.1 * jax.random.normal(jax.random.key(1), (3, 3, 32, 32))
    slow, fast = (_run(backend, image, kernel) for backend in ("xla", "product"))
    compare(part, "XLA's convolution / a product of windows", slow, fast, options)


def _run(backend: str, image, kernel):
    def loss(image, kernel):
        return jnp.sum(convolve(image, kernel, backend=backend) ** 2)

    @jax.jit
    def run(image, kernel):
        def step(_, carry):
            gradients = jax.grad(loss, argnums=(0, 1))(*carry)
            return jax.tree.map(lambda value, g: value - 1e-4 * g, carry, gradients)

        return jax.lax.fori_loop(0, STEPS, step, (image, kernel))

    return lambda: run(image, kernel)
