"""A user's model of any kind, flax.nnx, linen or a tree, as parameters and a forward pass."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
from flax import linen, nnx

Build = Callable[[int], Any]


@dataclasses.dataclass(frozen=True)
class UserModel:
    """A model at one width, abstract or with its arrays.

    `forward` takes parameters, state (whatever else the model keeps: batch statistics, random
    keys) and the inputs; it is None where nothing says how the parameters are used.
    """

    parameters: Any
    state: Any
    forward: Callable[..., Any] | None


def abstract(build: Build, width: int, apply: Callable[..., Any] | None, inputs: Any) -> UserModel:
    """Evaluate `build` at a width, to an nnx module, a linen module or a tree; allocates nothing.

    A module's forward pass is its own call unless `apply` says otherwise: apply(module, *inputs)
    for nnx, apply(module, variables, *inputs) for linen, apply(parameters, *inputs) for a tree.
    """
    unbound: list[linen.Module] = []

    def made() -> Any:
        model = build(width)
        if isinstance(model, linen.Module):
            unbound.append(model)
            return None
        return model

    model = nnx.eval_shape(made)
    if unbound:
        variables = jax.eval_shape(unbound[0].init, jax.random.key(0), *inputs)
        return _linen(unbound[0], variables, apply)
    return _module_or_tree(model, apply, inputs)


def concrete(model: Any, seed: int, apply: Callable[..., Any] | None, inputs: Any) -> UserModel:
    """Take a model with its arrays apart; a linen module is initialized with the seed first."""
    if isinstance(model, linen.Module):
        return _linen(model, jax.jit(model.init)(jax.random.key(seed), *inputs), apply)
    return _module_or_tree(model, apply, inputs)


def _module_or_tree(model: Any, apply: Callable[..., Any] | None, inputs: Any) -> UserModel:
    if isinstance(model, nnx.Module):
        return _nnx(model, apply, inputs)
    if apply is None:
        return UserModel(model, (), None)
    return UserModel(model, (), lambda parameters, state, *inputs: apply(parameters, *inputs))


def _nnx(module: nnx.Module, apply: Callable[..., Any] | None, inputs: Any) -> UserModel:
    graph, parameters, state = nnx.split(module, nnx.Param, ...)  # type: ignore[misc]

    def forward(parameters: Any, state: Any, *inputs: Any) -> Any:
        merged = nnx.merge(graph, parameters, state)
        return merged(*inputs) if apply is None else apply(merged, *inputs)

    return UserModel(parameters, state, forward if apply or inputs else None)


def _linen(module: linen.Module, variables: Any, apply: Callable[..., Any] | None) -> UserModel:
    parameters = variables["params"]
    state = {name: value for name, value in variables.items() if name != "params"}

    def forward(parameters: Any, state: Any, *inputs: Any) -> Any:
        variables = {"params": parameters, **state}
        if apply is None:
            return module.apply(variables, *inputs)
        return apply(module, variables, *inputs)

    return UserModel(parameters, state, forward)
