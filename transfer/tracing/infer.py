"""The layout of a user's model, inferred from its forward pass."""

import numbers
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

from transfer import pytree_paths
from transfer.errors import TransferError, explained, explained_calls, nearest
from transfer.scaling import Annotated, Axes, Layout, Role
from transfer.tracing.abstract_values import Axis
from transfer.tracing.axis_uses import Uses, ambiguous, annotation, require_one_law
from transfer.tracing.interpreter import Interpreter, interpret
from transfer.tracing.user_model import Build, Inputs, UserModel, abstract

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
    axes: Mapping[str, str | Axes] | None = None,
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
      inputs: an example input, or a tuple of several; arrays or `jax.ShapeDtypeStruct`s, and flags,
        texts and None, which are passed as they are. With a batch of two or more, a parameter that
        is broadcast over the batch, such as a learned query, is told from a factor of a weight.
      axes: annotations of single parameters by path, which overrule what is read, ties included.
      convention: how matrices are stored, `in_out` or `out_in`, where there is no forward pass.
      multiplied: paths of the weights whose forward multiplier the model applies itself, as
        `transfer.multiplier` gives it. A recipe that needs others is refused.

    Raises:
      TransferError: the role of a parameter is ambiguous or one weight would need two (the message
        says how to resolve it); no parameter grows; a width is not a whole number above 0; `build`
        returns no parameter; or the model differs between widths in more than sizes.

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
    for name, value in (("base_width", base_width), ("width", width)):
        if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
            raise TransferError(f"{name} is {value!r}; expected a whole number of at least 1.")
    if axes is not None and not isinstance(axes, Mapping):
        raise TransferError(
            f'axes is {axes!r}; expected annotations by path, such as {{"w": "0 -> 1"}}.'
        )
    build, apply = explained_model(build, apply)
    traced = Inputs.of(inputs)
    with explained(*OWN_CALL):
        base, probe, target = (
            abstract(build, each, apply, traced) for each in (base_width, 2 * base_width, width)
        )
    pytree_paths.require_real(pytree_paths.parameters(base.parameters))
    shapes = [
        {path: leaf.shape for path, leaf in pytree_paths.parameters(model.parameters).items()}
        for model in (base, probe, target)
    ]
    growing = _growing(shapes[0], shapes[1], base_width)
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
    read = Interpreter()
    if base.forward is not None:
        with explained(*OWN_CALL):
            read = _interpreted(base, probe, traced, shapes[0], growing)
    declared = {
        path: _conventional(path, grows, convention)
        if base.forward is None and path not in given
        else _axes_of(path, read.uses.get(path, Uses()), grows, shapes[0][path], given.get(path))
        for path, grows in growing.items()
    }
    for path, (annotated, _) in declared.items():
        if path not in given:
            uses = read.uses.get(path, Uses())
            require_one_law(path, annotated, uses, shapes[0][path], shapes[1][path])
    models = [
        {
            path: Annotated(axes=declared[path][0], shape=shape, tied=declared[path][1])
            for path, shape in sizes.items()
            if path in declared
        }
        for sizes in shapes
    ]
    layout = Layout.compare(
        base=models[0], probe=models[1], target=models[2], multiplied=multiplied
    )
    _require_growing_heads(layout, read, given)
    return layout


def _growing(
    base: Mapping[str, Sequence[int]], probe: Mapping[str, Sequence[int]], base_width: int
) -> dict[str, list[bool]]:
    """Say which axes of each parameter grow from the base width to twice it."""
    widths = f"{base_width} and {2 * base_width}"
    if base.keys() != probe.keys():
        odd = sorted(base.keys() ^ probe.keys())
        raise TransferError(
            f"The model holds {', '.join(odd[:3])} at only one of the widths {widths}; "
            "expected one architecture whose shapes alone depend on width."
        )
    for path, shape in base.items():
        if len(shape) != len(probe[path]):
            raise TransferError(
                f"{path} has {len(shape)} axes at one and {len(probe[path])} at the other of the "
                f"widths {widths}; expected one architecture whose sizes alone depend on width."
            )
    for path, shape in base.items():
        for axis, (small, large) in enumerate(zip(shape, probe[path], strict=True)):
            if large < small:
                raise TransferError(
                    f"The axis {axis} of {path} shrinks from {small} to {large} between the widths "
                    f"{widths}; expected sizes that grow with width or stay."
                )
    growing = {
        path: [small != large for small, large in zip(shape, probe[path], strict=True)]
        for path, shape in base.items()
    }
    if not any(any(grows) for grows in growing.values()):
        raise TransferError(
            f"No parameter of the model grows: all {len(base)} have the same shapes at the widths "
            f"{widths}; expected build(width) to use its argument."
        )
    return growing


def _interpreted(
    base: UserModel,
    probe: UserModel,
    inputs: Inputs,
    shapes: Mapping[str, Sequence[int]],
    growing: Mapping[str, Sequence[bool]],
) -> Interpreter:
    """Read the forward pass at the base width, or at twice it where a growing axis has one entry.

    What becomes of an axis of one entry, such as the heads of a base with a single head, is not to
    be seen: it is squeezed and broadcast at will. A forward pass that only fits the base width is
    read there nevertheless.
    """
    single = any(
        size == 1 and grows
        for path, shape in shapes.items()
        for size, grows in zip(shape, growing[path], strict=True)
    )
    if single:
        try:
            return interpret(probe, inputs.arrays)
        except Exception:  # Whatever a user's function raises at a width it was not written for.
            return interpret(base, inputs.arrays)
    return interpret(base, inputs.arrays)


def _require_growing_heads(layout: Layout, read: Interpreter, given: Collection[str]) -> None:
    """Raise `TransferError` for keys of a fixed size which a growing number of queries meet.

    They are maps from the width to a fixed size, as a readout is, but what they produce stays
    inside: neither a readout's rule, which lets it vanish with width, nor a hidden one is right.
    """

    def of_role(role: Role, axes: Iterable[Axis]) -> list[str]:
        return sorted(
            path
            for path, axis in axes
            if layout[path].role == role
            and str(axis) in layout[path].axes.outputs
            and path not in given
        )

    pairs = [pair for each in read.contracted for pair in (each, each[::-1])]
    met = [(of_role(Role.OUTPUT, one), of_role(Role.HIDDEN, other)) for one, other in pairs]
    for keys, queries in sorted(met):
        if keys and queries:
            raise TransferError(
                f"{keys[0]} maps the width to a fixed size, and what it produces is multiplied "
                f"with what {queries[0]} makes of the width, as the keys of multi-query attention "
                "are with its queries: no rule of width fits both; expected key and value heads "
                "whose number grows with width (grouped-query attention), or "
                f'axes={{"{keys[0]}": "{layout[keys[0]].axes}"}} to take it for a readout.'
            )


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
    path: str, uses: Uses, growing: Sequence[bool], shape: Sequence[int], given: Axes | None
) -> tuple[Axes, bool]:
    if given is not None:
        return given, False
    try:
        return annotation(path, uses, growing, shape)
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
