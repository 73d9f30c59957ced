"""Singular values along a run: small matrices are decomposed, others continue by Lanczos."""

import jax
import jax.numpy as jnp

from transfer import pytree_paths
from transfer.probes.alike import alike
from transfer.probes.lanczos import Triplets, decompose
from transfer.probes.matrices import by_fan, one_at_a_time_on_cpu, over_stack
from transfer.probes.spectrum import Spectrum, initial_vectors, measure_spectrum
from transfer.recipe_arrays import AnyRecipe, resolved
from transfer.scaling import Layout, Parameter, Role

# On 2 cores a matrix of 64 x 192 is decomposed in 0.3 ms, which eight pairs of products with a
# block of four take too; from 96 on LAPACK's threads take 4 ms at best and a hundred on busy cores.
# Lanczos also takes a second or more to compile for each kind of matrix, a decomposition none.
EXACT_UP_TO = 64


def tracked_vectors(layout: Layout, k: int, key: jax.Array) -> dict[str, jax.Array]:
    """Random vectors for the first `track_spectrum`: those of the matrices that are not exact.

    Example:
      >>> from transfer.scaling import Annotated, Axes
      >>> axes = Axes.parse("embed -> ffn")
      >>> at = lambda n: {"up": Annotated(axes=axes, shape=(n, 4 * n), gain=1.0)}
      >>> small, large = (
      ...     Layout.compare(base=at(8), probe=at(16), target=at(n)) for n in (64, 128)
      ... )
      >>> len(tracked_vectors(small, 4, jax.random.key(0)))
      0
      >>> tracked_vectors(large, 4, jax.random.key(0))["up"].shape
      (4, 128)
    """
    return initial_vectors(_part(layout, exact=False), k, key)


def track_spectrum(
    parameters: object,
    layout: Layout,
    vectors: dict[str, jax.Array],
    *,
    k: int,
    pairs: int,
    recipe: AnyRecipe | None = None,
    together: bool = False,
) -> Spectrum:
    """Return the k largest singular values of every hidden matrix, in the cheaper of two ways.

    Matrices whose smaller side is at most 64 are decomposed, in float32 or better, and keep no
    vectors. The others are measured by `measure_spectrum`, which see: started from the last
    measurement's vectors, `pairs` products with each matrix and as many with its transpose.

    Arguments:
      parameters: any tree of arrays, with the layout's paths.
      vectors: `tracked_vectors`, or the `vectors` of the last measurement.
      k: how many values; capped by the smaller side.
      recipe: gives the multipliers of effective weights; without one, those of the parameters.
      together: whether matrices of one size are compiled as one; see `measure_spectrum`.

    Example:
      >>> from transfer.scaling import Annotated, Axes
      >>> axes = Axes.parse("embed -> ffn")
      >>> kernel = lambda n: {"up": Annotated(axes=axes, shape=(n, n), gain=1.0)}
      >>> layout = Layout.compare(base=kernel(2), probe=kernel(4), target=kernel(3))
      >>> weights = {"up": jnp.diag(jnp.array([1.0, 3.0, 2.0]))}
      >>> found = track_spectrum(weights, layout, {}, k=2, pairs=4)
      >>> found.values["up"], found.vectors
      (Array([3., 2.], dtype=float32), {})
    """
    weights = pytree_paths.leaves(parameters)
    small, large = _part(layout, exact=True), _part(layout, exact=False)
    values: dict[str, jax.Array] = {}
    bounds: dict[str, jax.Array] = {}
    for group in alike({path: weights[path] for path in small}, small, together=together):
        exact = _decompose(group.weight, group.parameter, k)
        values |= group.split(exact.values)
        bounds |= group.split(exact.bounds)
    multiplier = {
        path: 1.0 if recipe is None else resolved(recipe).multiplier(parameter)
        for path, parameter in small.items()
    }
    found = measure_spectrum(
        {path: weights[path] for path in large},
        large,
        vectors,
        pairs=pairs,
        recipe=recipe,
        together=together,
    )
    return Spectrum(
        {path: multiplier[path] * values[path] for path in small} | found.values,
        {path: multiplier[path] * bounds[path] for path in small} | found.bounds,
        found.vectors,
    )


def _decompose(weight: jax.Array, parameter: Parameter, k: int) -> Triplets:
    k = min(k, parameter.fan_in, parameter.fan_out)

    def one(weight: jax.Array) -> Triplets:
        matrix = weight.reshape(parameter.fan_in, parameter.fan_out)
        matrix = matrix if parameter.fan_in <= parameter.fan_out else matrix.T
        # Scaling by a power of two is exact, and keeps the matrix's square from overflowing.
        _, exponent = jnp.frexp(jnp.max(jnp.abs(matrix)))
        values, bounds, vectors = decompose(jnp.ldexp(matrix, -exponent), k)
        return Triplets(jnp.ldexp(values, exponent), jnp.ldexp(bounds, exponent), vectors)

    # LAPACK splits a stack over the threads that run the program and waits for them, so that two
    # devices on two cores would wait for each other.
    with jax.default_matmul_precision("highest"):
        return over_stack(one_at_a_time_on_cpu(one), parameter)(by_fan(weight, parameter))


def _part(layout: Layout, *, exact: bool) -> Layout:
    return Layout(
        {
            path: parameter
            for path, parameter in layout.items()
            if parameter.role == Role.HIDDEN
            and (min(parameter.fan_in, parameter.fan_out) <= EXACT_UP_TO) == exact
        },
        layout.multiplied,
    )
