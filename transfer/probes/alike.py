"""Matrices of one size as one stack, so that what is done with them is compiled once."""

import dataclasses
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from transfer.probes.matrices import by_fan, stack_axes, vectors_shape
from transfer.scaling import Axes, Layout, Parameter

# Larger matrices take longer to measure than to compile for, and their copy much memory.
MOST_COPIED = 32 * 2**20


@dataclasses.dataclass(frozen=True)
class Alike:
    """Weights that are measured together: one as it is, or several as a stack of their matrices.

    Fields:
      members: the parameters, by path.
      parameter: describes `weight`.
      weight: of the one member, or (matrices, larger side, smaller side) of all of them.
    """

    members: Mapping[str, Parameter]
    parameter: Parameter
    weight: jax.Array

    def join(self, vectors: Mapping[str, jax.Array]) -> jax.Array:
        """Return the vectors (*stack, k, *side) of the members as those of `weight`."""
        if len(self.members) == 1:
            (path,) = self.members
            return vectors[path]
        smaller = self.parameter.fan_out
        return jnp.concatenate(
            [
                vectors[path].reshape(math.prod(_stack(parameter)), -1, smaller)
                for path, parameter in self.members.items()
            ]
        )

    def split(self, found: jax.Array) -> dict[str, jax.Array]:
        """Return by path (*stack, ...) what was found (*stack, ...) of `weight`."""
        if len(self.members) == 1:
            (path,) = self.members
            return {path: found}
        parts, place = {}, 0
        for path, parameter in self.members.items():
            stack = _stack(parameter)
            following = place + math.prod(stack)
            parts[path] = found[place:following].reshape(*stack, *found.shape[1:])
            place = following
        return parts


def alike(weights: Mapping[str, jax.Array], layout: Layout, *, together: bool) -> list[Alike]:
    """Return all weights, with `together` those of one size and dtype as one, up to 32 MiB."""
    kinds: dict[object, list[str]] = {}
    for path, weight in weights.items():
        sides = sorted((layout[path].fan_in, layout[path].fan_out))
        kinds.setdefault((*sides, weight.dtype) if together else path, []).append(path)
    found = []
    for paths in kinds.values():
        if len(paths) > 1 and sum(weights[path].nbytes for path in paths) <= MOST_COPIED:
            found.append(_stacked({path: weights[path] for path in paths}, layout))
        else:
            found += [Alike({path: layout[path]}, layout[path], weights[path]) for path in paths]
    return found


def _stacked(weights: Mapping[str, jax.Array], layout: Layout) -> Alike:
    matrices = []
    for path, weight in weights.items():
        parameter = layout[path]
        matrix = by_fan(weight, parameter).reshape(-1, parameter.fan_in, parameter.fan_out)
        matrices.append(matrix.swapaxes(1, 2) if parameter.fan_in < parameter.fan_out else matrix)
    stack = jnp.concatenate(matrices)
    parameter = dataclasses.replace(
        parameter,
        axes=Axes.parse("matrices | larger -> smaller"),
        shape=stack.shape,
        base_shape=stack.shape,
        growing=(False, True, True),
    )
    return Alike({path: layout[path] for path in weights}, parameter, stack)


def _stack(parameter: Parameter) -> tuple[int, ...]:
    return vectors_shape(parameter, 1)[: stack_axes(parameter)]
