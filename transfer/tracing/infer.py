"""The layout of a user's model, inferred from its forward pass."""

import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from transfer import pytree_paths
from transfer.errors import TransferError, explained, explained_calls, nearest
from transfer.scaling import Annotated, Axes, Layout
from transfer.tracing.axis_uses import Uses, ambiguous, annotation
from transfer.tracing.interpreter import interpret
from transfer.tracing.user_model import Build, abstract

Convention = Literal["in_out", "out_in"]

# What runs where neither `build` nor `apply` does.
OWN_CALL = (
    "The model's own call on inputs=",
    "inputs that it takes, or apply= to call it in another way",
)


def infer_layout(
    build: Build,
    *,
    base_width: int,
    width: int,
    apply: Callable[..., Any] | None = None,
    inputs: Any = (),
    axes: Mapping[str, str] | None = None,
    convention: Convention | None = None,
    multiplied: Iterable[str] = (),
) -> Layout:
    """Infer which axes of a model grow with width and what its forward pass does with each.

    Growing axes are those that differ between the base width and twice the base, so that a target
    of the base width, or below it, is like any other. Roles and fans come from how the forward pass
    uses each parameter: its jaxpr, through scan, remat, jit and custom derivatives, tells which
    axes are contracted, produced, looked up, or only added and multiplied. Nothing is allocated.
    A product written out as a multiplication and a sum reads as a multiplication: write it as a
    contraction, or give its `axes`.

    Arguments:
      build: width to a flax.nnx module, a linen module, or a tree of parameters. It draws its own
        random keys (`nnx.Rngs(0)` inside), since it is called for several widths.
      base_width: where the learning rate is meant as it stands; multipliers are width over it.
      width: the width of the model to be trained.
      apply: the forward pass where it is not the module's own call: apply(module, *inputs) for nnx,
        apply(module, variables, *inputs) for linen, apply(parameters, *inputs) for a tree, of the
        base width.
      inputs: an example input, or a tuple of several; arrays or `jax.ShapeDtypeStruct`s.
      axes: annotations of single parameters by path, which overrule what is read, ties included.
      convention: how matrices are stored, `in_out` or `out_in`, where there is no forward pass.
      multiplied: paths of the weights whose forward multiplier the model applies itself, as
        `transfer.multiplier` gives it. A recipe that needs others is refused.

    Raises:
      TransferError: the role of a parameter is ambiguous (the message says how to resolve it), or
        the model differs between widths in more than sizes.

    Example:
      >>> import jax
      >>> from flax import nnx
      >>> build = lambda width: nnx.Sequential(
      ...     nnx.Linear(3, width, rngs=nnx.Rngs(0)),
      ...     nnx.relu,
      ...     nnx.Linear(width, 1, rngs=nnx.Rngs(1)),
      ... )
      >>> example = jax.ShapeDtypeStruct((8, 3), "float32")
      >>> layout = infer_layout(build, base_width=16, width=64, inputs=example)
      >>> for path, parameter in layout.items():
      ...     print(path, parameter.axes, parameter.role)
      layers.0.bias 0 vector
      layers.0.kernel 0 -> 1 input
      layers.2.bias 0 scalar
      layers.2.kernel 0 -> 1 output
    """
    if convention not in (None, *typing.get_args(Convention)):
        raise TransferError(
            f'The convention "{convention}" is unknown; expected "in_out" or "out_in".'
        )
    build, apply = explained_model(build, apply)
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    with explained(*OWN_CALL):
        base, probe, target = (
            abstract(build, each, apply, inputs) for each in (base_width, 2 * base_width, width)
        )
    pytree_paths.require_real(pytree_paths.leaves(base.parameters))
    shapes = [
        {path: leaf.shape for path, leaf in pytree_paths.leaves(model.parameters).items()}
        for model in (base, probe, target)
    ]
    if shapes[0].keys() != shapes[1].keys():
        odd = sorted(shapes[0].keys() ^ shapes[1].keys())
        raise TransferError(
            f"The model holds {', '.join(odd[:3])} at only one of the widths {base_width} and "
            f"{2 * base_width}; expected one architecture whose shapes alone depend on width."
        )
    growing = {
        path: [small != large for small, large in zip(shape, shapes[1][path], strict=True)]
        for path, shape in shapes[0].items()
    }
    given = {path: Axes.parse(text) for path, text in (axes or {}).items()}
    if unknown := sorted(given.keys() - growing.keys()):
        raise TransferError(
            f'axes names "{unknown[0]}", which the model does not hold'
            f"{nearest(unknown[0], growing)}; expected paths of its parameters."
        )
    if base.forward is None and convention is None and _undecided(growing, given):
        raise TransferError(
            f"Nothing says how {_undecided(growing, given)[0]} is used: there is neither a forward "
            'pass nor a convention; expected apply= and inputs=, or convention="in_out" (or '
            '"out_in") for matrices stored so.'
        )
    with explained(*OWN_CALL):
        uses = {} if base.forward is None else interpret(base, inputs).uses
    declared = {
        path: _conventional(path, grows, convention)
        if base.forward is None and path not in given
        else _axes_of(path, uses.get(path, Uses()), grows, given.get(path))
        for path, grows in growing.items()
    }
    models = [
        {
            path: Annotated(axes=declared[path][0], shape=shape, tied=declared[path][1])
            for path, shape in sizes.items()
            if path in declared
        }
        for sizes in shapes
    ]
    return Layout.compare(base=models[0], probe=models[1], target=models[2], multiplied=multiplied)


def explained_model(
    build: Callable[..., Any], apply: Callable[..., Any] | None
) -> tuple[Callable[..., Any], Callable[..., Any] | None]:
    """The two functions of a user, whose errors then name the argument that they were given as."""
    built = explained_calls(
        build, "build", "a function that makes the model at any width and draws its own keys"
    )
    if apply is None:
        return built, None
    return built, explained_calls(apply, "apply", "a forward pass that takes inputs=")


def _axes_of(
    path: str, uses: Uses, growing: Sequence[bool], given: Axes | None
) -> tuple[Axes, bool]:
    if given is not None:
        return given, False
    try:
        return annotation(path, uses, growing)
    except TransferError:
        if any(growing):
            raise
        # All factors of a parameter of one size are 1, however it is used.
        return Axes((), None, tuple(map(str, range(len(growing))))), False


def _undecided(growing: Mapping[str, Sequence[bool]], given: Mapping[str, Axes]) -> list[str]:
    return [
        path
        for path, grows in growing.items()
        if path not in given and any(grows) and len(grows) > 1
    ]


def _conventional(
    path: str, growing: Sequence[bool], convention: Convention | None
) -> tuple[Axes, bool]:
    if len(growing) == 2 and any(growing) and convention:
        return Axes.parse("0 -> 1" if convention == "in_out" else "1 -> 0"), False
    if len(growing) > 2 and any(growing):
        raise ambiguous(path, f"no convention tells the {len(growing)} axes of an array apart")
    return Axes((), None, tuple(map(str, range(len(growing))))), False
