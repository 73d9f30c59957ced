"""What moving hyperparameters to another width, depth, batch size or duration does, and why.

A move is one axis from where a hyperparameter was tuned to where it is used, with the factors that
the recipe applies on the way, and how far they can be trusted: `theory` is derived for a limit that
the model approaches, `empirical` was fitted or holds in a regime that is not checked here, `none`
moves on no ground at all.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Literal

from transfer.errors import TransferError
from transfer.scaling.axes import Axes
from transfer.scaling.layout import Parameter
from transfer.scaling.recipe import Recipe
from transfer.scaling.rule import Family

Axis = Literal["width", "depth", "batch", "tokens"]
Standing = Literal["theory", "empirical", "none"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scale:
    """How large a run is: `batch_size` in windows, `tokens` over the whole run."""

    width: int
    layers: int
    batch_size: int
    tokens: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Move:
    """One axis from `start` to `target`: factors by quantity, their standing, source and limits."""

    axis: Axis
    start: int
    target: int
    effects: Mapping[str, float]
    standing: Standing
    source: str
    validity: str

    @property
    def factor(self) -> Fraction:
        """Target over start."""
        return Fraction(self.target, self.start)

    def __str__(self) -> str:
        effects = ", ".join(f"{name} x {factor:.4g}" for name, factor in self.effects.items())
        return (
            f"{self.axis} {self.start} -> {self.target} (x {float(self.factor):.4g}): "
            f"{effects or 'nothing changes'}\n"
            f"  {self.standing}{f', {self.source}' if self.source else ''}: {self.validity}"
        )


def moves(recipe: Recipe, family: Family, start: Scale, target: Scale) -> tuple[Move, ...]:
    """Return the moves from one scale to another, none for an axis that stays.

    Raises `TransferError` where the recipe has no rule for an axis that moves.

    Example:
      >>> proxy = Scale(width=64, layers=2, batch_size=16, tokens=10**6)
      >>> for move in moves(Recipe("mup"), "linear", proxy, dataclasses.replace(proxy, width=256)):
      ...     print(move.axis, move.factor, move.effects["readout multiplier"])
      ...     break
      width 4 0.25
    """
    return (
        *_width(recipe, family, start, target),
        *_depth(recipe, family, start, target),
        *_horizon(recipe, family, start, target),
    )


def _width(recipe: Recipe, family: Family, start: Scale, target: Scale) -> Iterator[Move]:
    if start.width == target.width:
        return
    wider = dataclasses.replace(start, width=target.width)
    effects = _effects(recipe, family, start, wider)
    decay = {name: effects.pop(name) for name in list(effects) if name.endswith("weight decay")}
    for found, (standing, source, validity) in (
        (effects, _rates_ground(recipe)),
        (decay, _decay_ground(recipe, family)),
    ):
        yield Move(
            axis="width",
            start=start.width,
            target=target.width,
            effects=found,
            standing=standing,
            source=source,
            validity=validity,
        )


def _depth(recipe: Recipe, family: Family, start: Scale, target: Scale) -> Iterator[Move]:
    if start.layers == target.layers:
        return
    if not recipe.depth:
        raise TransferError(
            f"The target has {target.layers} layers and the sweep {start.layers}, for which the "
            "recipe has no rule; expected a sweep with recipe.depth = completep or depth_mup, or "
            "a target of the sweep's own depth."
        )
    deeper = dataclasses.replace(start, layers=target.layers)
    standing, source, validity = _DEPTH_GROUND[recipe.depth]
    yield Move(
        axis="depth",
        start=start.layers,
        target=target.layers,
        effects=_effects(recipe, family, start, deeper),
        standing=standing,
        source=source,
        validity=validity,
    )


def _horizon(recipe: Recipe, family: Family, start: Scale, target: Scale) -> Iterator[Move]:
    m_batch = Fraction(target.batch_size, start.batch_size)
    m_tokens = Fraction(target.tokens, start.tokens)
    if m_batch == m_tokens == 1:
        return
    if not recipe.horizon:
        raise TransferError(
            f"The target trains on {target.tokens} tokens in batches of {target.batch_size} and "
            f"the sweep on {start.tokens} in batches of {start.batch_size}, for which the recipe "
            "has no rule; expected a sweep with recipe.horizon = sde, or the sweep's own batch "
            "size and number of tokens."
        )
    ratios: tuple[tuple[Axis, int, int, Fraction, Fraction], ...] = (
        ("batch", start.batch_size, target.batch_size, m_batch, Fraction(1)),
        ("tokens", start.tokens, target.tokens, Fraction(1), m_tokens),
    )
    for axis, before, after, batch, tokens in ratios:
        if batch == tokens:
            continue
        factors = recipe.at_horizon(family, batch, tokens)
        standing, source, validity = _HORIZON_GROUND[axis]
        yield Move(
            axis=axis,
            start=before,
            target=after,
            effects=_changed(
                {
                    "learning rate": factors.learning_rate,
                    "weight decay": factors.weight_decay,
                    "epsilon": factors.epsilon,
                    "1 - beta": factors.averaging,
                    "steps": float(tokens / batch),
                }
            ),
            standing=standing,
            source=source,
            validity=validity,
        )


_COLUMNS = {
    "std": "init std",
    "multiplier": "multiplier",
    "learning_rate": "learning rate",
    "weight_decay": "weight decay",
    "epsilon": "epsilon",
}
# A parameter of every kind that a model has; those in a stack lie in its blocks.
_KINDS = {
    "embedding": "vocabulary -> embed",
    "hidden": "layers | embed -> embed",
    "gain": "layers | embed",
    "readout": "embed -> vocabulary",
}


def _effects(recipe: Recipe, family: Family, start: Scale, target: Scale) -> dict[str, float]:
    """What changes for each kind of parameter, seen from `start`."""
    found = {}
    for kind, axes in _KINDS.items():
        rule = recipe.rule(_parameter(axes, start, target), family)
        for column, word in _COLUMNS.items():
            if not (column == "epsilon" and family == "linear"):
                found[f"{kind} {word}"] = getattr(rule, column)
    found["branch multiplier"] = recipe.multiplier(_parameter("layers | ->", start, target))
    return _changed(found)


def _parameter(annotation: str, start: Scale, target: Scale) -> Parameter:
    axes = Axes.parse(annotation)

    def shape(scale: Scale) -> tuple[int, ...]:
        sizes = {"embed": scale.width, "layers": scale.layers}
        return tuple(sizes.get(name, 1) for name in axes.names)

    return Parameter(
        path=annotation,
        axes=axes,
        shape=shape(target),
        base_shape=shape(start),
        growing=tuple(name == "embed" for name in axes.names),
        gain=None,
        std=None,
        tied=False,
    )


def _changed(factors: Mapping[str, float]) -> dict[str, float]:
    return {name: factor for name, factor in factors.items() if factor not in (0.0, 1.0)}


_Ground = tuple[Standing, str, str]


def _rates_ground(recipe: Recipe) -> _Ground:
    if recipe.rates == "uniform":
        return (
            "none",
            "arXiv 2407.05872",
            "one learning rate for all layers does not stay best as width grows: its optimum was "
            "seen to fall.",
        )
    if recipe.table.rates == "full" == recipe.rates:
        return (
            "theory",
            "arXiv 2203.03466",
            "holds as width grows at fixed depth, batch and number of steps; what is left at "
            "finite width shrinks with the width of the proxy.",
        )
    return (
        "empirical",
        "arXiv 2407.05872",
        "these exponents per layer were seen to transfer; they are not those of the feature-"
        "learning limit.",
    )


def _decay_ground(recipe: Recipe, family: Family) -> _Ground:
    if family != "entrywise":
        return (
            "empirical",
            "",
            "holds what a weight loses per step, learning rate times decay; no width rule of decay "
            "is known for this family.",
        )
    return _DECAY_GROUND.get(str(recipe.decay)) or (
        "empirical",
        "arXiv 2510.15262",
        f"holds the top singular value if that was measured to grow as sqrt(learning rate / decay) "
        f"width^{(1 + float(recipe.decay)) / 2:g}, and once runs have settled.",
    )


_DECAY_GROUND: Mapping[str, _Ground] = {
    "sqrt": (
        "empirical",
        "arXiv 2510.15262",
        "holds the top singular value if that grows as sqrt(learning rate / decay) width^0.75, "
        "which is a fit and may be another power elsewhere, and once runs have settled.",
    ),
    "independent": (
        "empirical",
        "arXiv 2405.13698, 2510.19093",
        "holds what a weight loses per step, so the share of the run that it averages over.",
    ),
    "constant": (
        "none",
        "arXiv 2203.03466",
        "the coefficient is left as it is: decay as a regulariser is not known to transfer.",
    ),
}
_DEPTH_GROUND: Mapping[str, _Ground] = {
    "completep": (
        "theory",
        "arXiv 2505.01618",
        "holds as depth grows for residual blocks that normalise their input; decay is beside the "
        "theory.",
    ),
    "depth_mup": (
        "theory",
        "arXiv 2309.16620, 2505.01618",
        "holds as depth grows for blocks of a single layer; in deeper ones, such as a "
        "transformer's, each layer learns less and less, and decay is beside the theory.",
    ),
}
_HORIZON_GROUND: Mapping[Axis, _Ground] = {
    "batch": (
        "empirical",
        "arXiv 2205.10287, 2006.09092",
        "is theory where gradients are mostly noise, at batches far below the noise scale; above "
        "it the best learning rate stops growing.",
    ),
    "tokens": (
        "empirical",
        "arXiv 2512.22382",
        "was seen to serve longer runs under the same shape of schedule; no equation says that it "
        "must.",
    ),
}
