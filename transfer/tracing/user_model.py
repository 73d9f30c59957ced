"""A user's model of any kind, flax.nnx, linen or a tree, as parameters and a forward pass."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
from flax import linen, nnx

from transfer import pytree_paths
from transfer.errors import TransferError

Build = Callable[[int], Any]
Apply = Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class UserModel:
    """A model at one width, abstract or with its arrays.

    `forward` takes parameters, state (whatever else the model keeps: batch statistics, random
    keys, constant arrays) and the arrays of the inputs; it is None where nothing says how the
    parameters are used.
    """

    parameters: Any
    state: Any
    forward: Callable[..., Any] | None


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The inputs of a forward pass, apart: arrays to trace, and flags to pass as they are.

    Example:
      >>> inputs = Inputs.of(({"tokens": jax.ShapeDtypeStruct((2,), "int32"), "train": True},))
      >>> len(inputs.arrays), inputs.filled([5])
      (1, ({'tokens': 5, 'train': True},))
    """

    arrays: tuple[Any, ...]
    filled: Callable[[Sequence[Any]], tuple[Any, ...]]

    @classmethod
    def of(cls, inputs: Any) -> "Inputs":
        """Take one input, or a tuple of several, apart; flags, texts and functions are static."""
        inputs = inputs if isinstance(inputs, tuple) else (inputs,)
        structure: Any
        leaves, structure = jax.tree.flatten(inputs)
        traced = [index for index, leaf in enumerate(leaves) if _is_traced(leaf)]

        def filled(arrays: Sequence[Any]) -> tuple[Any, ...]:
            values = list(leaves)
            for index, array in zip(traced, arrays, strict=True):
                values[index] = array
            whole: tuple[Any, ...] = structure.unflatten(values)
            return whole

        return cls(tuple(leaves[index] for index in traced), filled)


def _is_traced(leaf: Any) -> bool:
    number = isinstance(leaf, int | float | complex) and not isinstance(leaf, bool)
    return number or hasattr(leaf, "dtype")


def abstract(build: Build, width: int, apply: Apply | None, inputs: Inputs) -> UserModel:
    """Evaluate `build` at a width, to an nnx module, a linen module or a tree; allocates nothing.

    A module's forward pass is its own call unless `apply` says otherwise: apply(module, *inputs)
    for nnx, apply(module, variables, *inputs) for linen, apply(parameters, *inputs) for a tree.
    The forward pass builds the model once more, because arrays that a model keeps outside its
    variables, such as a constant in a closure, belong to the trace in which it was built.

    Raises `TransferError` when `build` returns nothing that holds a parameter.
    """
    kinds: list[tuple[str, bool]] = []

    def made(*arrays: Any) -> tuple[Any, Any]:
        model = build(width)
        kinds.append((type(model).__name__, _has_forward(model, apply, inputs)))
        return _variables(model, jax.random.key(0), apply, inputs.filled(arrays))

    parameters, state = jax.eval_shape(made, *inputs.arrays)
    kind, runs = kinds[-1]
    if not pytree_paths.parameters(parameters):
        returned = "None" if kind == "NoneType" else f"a {kind}"
        raise TransferError(
            f"build({width}) returned {returned}, which holds no parameter; expected a flax.nnx "
            "module, a linen module or a tree of floating point arrays."
        )

    def forward(parameters: Any, state: Any, *arrays: Any) -> Any:
        return _call(build(width), parameters, state, apply, inputs.filled(arrays))

    return UserModel(parameters, state, forward if runs else None)


def concrete(model: Any, seed: int, apply: Apply | None, inputs: Inputs) -> UserModel:
    """Take a model with its arrays apart; a linen module is initialized with the seed first."""

    def drawn(*arrays: Any) -> tuple[Any, Any]:
        return _variables(model, jax.random.key(seed), apply, inputs.filled(arrays))

    linen_module = isinstance(model, linen.Module)
    parameters, state = (jax.jit(drawn) if linen_module else drawn)(*inputs.arrays)

    def forward(parameters: Any, state: Any, *arrays: Any) -> Any:
        return _call(model, parameters, state, apply, inputs.filled(arrays))

    return UserModel(parameters, state, forward if _has_forward(model, apply, inputs) else None)


def _has_forward(model: Any, apply: Apply | None, inputs: Inputs) -> bool:
    if isinstance(model, linen.Module) or apply is not None:
        return True
    return isinstance(model, nnx.Module) and bool(inputs.arrays)


def _variables(
    model: Any, key: jax.Array, apply: Apply | None, inputs: tuple[Any, ...]
) -> tuple[Any, Any]:
    """Return a model's parameters and its state, the rest of what it keeps in arrays."""
    if isinstance(model, linen.Module):
        variables = _initialized(model, key, apply, inputs)
        state = {name: value for name, value in variables.items() if name != "params"}
        return variables.get("params", {}), state
    if isinstance(model, nnx.Module):
        _, parameters, state = nnx.split(model, nnx.Param, ...)  # type: ignore[misc]
        return parameters, state
    return jax.tree.map(lambda leaf: leaf if pytree_paths.is_parameter(leaf) else None, model), ()


def _call(
    model: Any, parameters: Any, state: Any, apply: Apply | None, inputs: tuple[Any, ...]
) -> Any:
    """Run the forward pass of a model with other parameters and another state than its own."""
    if isinstance(model, linen.Module):
        variables = {"params": parameters, **state}
        if apply is not None:
            return apply(model, variables, *inputs)
        # Modules in training mode draw random numbers, with the key of `params` in want of their
        # own, and write batch statistics.
        keys = {"params": jax.random.key(0)}
        output, _ = model.apply(variables, *inputs, rngs=keys, mutable=list(state))
        return output
    if isinstance(model, nnx.Module):
        graph, *_ = nnx.split(model, nnx.Param, ...)
        merged = nnx.merge(graph, parameters, state)
        return merged(*inputs) if apply is None else apply(merged, *inputs)
    assert apply is not None
    structure: Any
    leaves, structure = jax.tree.flatten(model)
    trained = iter(jax.tree.leaves(parameters))
    whole = [next(trained) if pytree_paths.is_parameter(leaf) else leaf for leaf in leaves]
    return apply(structure.unflatten(whole), *inputs)


def _initialized(
    module: linen.Module, key: jax.Array, apply: Apply | None, inputs: tuple[Any, ...]
) -> Any:
    """Initialize a linen module by its own call or, where that needs more, by the user's apply."""
    try:
        return module.init(key, *inputs)
    except Exception:
        if apply is None:
            raise
        initializing = _Initializing(module, key)
        apply(initializing, {}, *inputs)
        if initializing.variables is None:
            raise
        return initializing.variables


class _Initializing:
    """A linen module whose first `apply` initializes it with that call's own arguments."""

    def __init__(self, module: linen.Module, key: jax.Array):
        self.module = module
        self.key = key
        self.variables: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module, name)

    def apply(self, variables: Any, *arguments: Any, **settings: Any) -> Any:
        del variables
        if self.variables is None:
            calls = {name: each for name, each in settings.items() if name != "mutable"}
            rngs = calls.pop("rngs", None)
            keys = {"params": self.key, **(rngs if isinstance(rngs, dict) else {})}
            self.variables = self.module.init(keys, *arguments, **calls)
        return self.module.apply(self.variables, *arguments, **settings)
