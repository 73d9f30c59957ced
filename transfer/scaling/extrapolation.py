"""What the recipe changes between the run that was tuned and the target, and on what evidence.

Hyperparameters are extrapolated along width, depth, batch size and number of tokens, each with the
factors that the recipe applies and the evidence for them (`transfer.scaling.evidence`).
"""

import dataclasses
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Literal

from transfer.errors import TransferError
from transfer.scaling import evidence
from transfer.scaling.axes import Axes
from transfer.scaling.decay import Calibration
from transfer.scaling.evidence import Evidence
from transfer.scaling.parameter import Parameter
from transfer.scaling.recipe import Recipe
from transfer.scaling.rule import Family

Axis = Literal["width", "depth", "batch", "tokens"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scale:
    """How large a run is: `batch_size` in windows, `tokens` over the whole run."""

    width: int
    layers: int
    batch_size: int
    tokens: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Extrapolation:
    """One axis from `start` to `target`: the factor of each quantity, and the evidence for it."""

    axis: Axis
    start: int
    target: int
    effects: Mapping[str, float]
    evidence: Evidence

    @property
    def factor(self) -> Fraction:
        """Target over start."""
        return Fraction(self.target, self.start)

    def __str__(self) -> str:
        known = self.evidence
        effects = ", ".join(f"{name} x {factor:.4g}" for name, factor in self.effects.items())
        return (
            f"{self.axis} {self.start} -> {self.target} (x {float(self.factor):.4g}): "
            f"{effects or 'nothing changes'}\n"
            f"  {', '.join(filter(None, (known.level, known.source)))}: {known.validity}"
        )


def extrapolate(
    recipe: Recipe, family: Family, start: Scale, target: Scale
) -> tuple[Extrapolation, ...]:
    """Return what changes from one scale to another, nothing for an axis that stays.

    Raises `TransferError` where the recipe has no rule for an axis that changes.

    Example:
      >>> proxy = Scale(width=64, layers=2, batch_size=16, tokens=10**6)
      >>> target = dataclasses.replace(proxy, width=256)
      >>> rates, decay = extrapolate(Recipe("mup"), "linear", proxy, target)
      >>> rates.axis, rates.factor, rates.effects["readout multiplier"], rates.evidence.level
      ('width', Fraction(4, 1), 0.25, 'theory')
    """
    return (
        *_width(recipe, family, start, target),
        *_depth(recipe, family, start, target),
        *_batch_and_tokens(recipe, family, start, target),
    )


def _width(recipe: Recipe, family: Family, start: Scale, target: Scale) -> Iterator[Extrapolation]:
    if start.width == target.width:
        return
    wider = dataclasses.replace(start, width=target.width)
    effects = _effects(recipe, family, start, wider)
    decay = {name: effects.pop(name) for name in list(effects) if name.endswith("weight decay")}
    ends = start.width, target.width
    yield _along("width", ends, effects, evidence.of_rates(recipe))
    yield _along("width", ends, decay, evidence.of_decay(recipe, family))


def _depth(recipe: Recipe, family: Family, start: Scale, target: Scale) -> Iterator[Extrapolation]:
    if start.layers == target.layers:
        return
    if not recipe.depth:
        raise TransferError(
            f"The target has {target.layers} layers and the sweep {start.layers}, for which the "
            "recipe has no rule; expected a sweep with recipe.depth = completep or depth_mup, or "
            "a target of the sweep's own depth."
        )
    deeper = dataclasses.replace(start, layers=target.layers)
    effects = _effects(recipe, family, start, deeper)
    yield _along("depth", (start.layers, target.layers), effects, evidence.DEPTH[recipe.depth])


def _batch_and_tokens(
    recipe: Recipe, family: Family, start: Scale, target: Scale
) -> Iterator[Extrapolation]:
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
    if m_batch != 1:
        effects = _settings(recipe, family, m_batch, Fraction(1))
        ends = start.batch_size, target.batch_size
        yield _along("batch", ends, effects, evidence.HORIZON["batch"])
    if m_tokens != 1:
        effects = _settings(recipe, family, Fraction(1), m_tokens)
        yield _along("tokens", (start.tokens, target.tokens), effects, evidence.HORIZON["tokens"])


def _along(
    axis: Axis, ends: tuple[int, int], effects: Mapping[str, float], known: Evidence
) -> Extrapolation:
    start, target = ends
    return Extrapolation(axis=axis, start=start, target=target, effects=effects, evidence=known)


def _settings(
    recipe: Recipe, family: Family, m_batch: Fraction, m_tokens: Fraction
) -> dict[str, float]:
    """What changes of the optimizer's own settings, and of the number of steps."""
    factors = recipe.at_horizon(family, m_batch, m_tokens)
    return _changed(
        {
            "learning rate": factors.learning_rate,
            "weight decay": factors.weight_decay,
            "epsilon": factors.epsilon,
            "1 - beta": factors.averaging,
            "steps": float(m_tokens / m_batch),
        }
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
    """What changes for each kind of parameter, seen from `start`.

    Under a measured decay `start` is the widest width it was measured at, and what changes of decay
    is told for each matrix.
    """
    paths: Mapping[str, tuple[str, ...]] = {}
    if isinstance(recipe.decay, Calibration):
        paths = {"hidden": recipe.decay.paths}
        beyond = dataclasses.replace(recipe.decay, swept=0.0, widest=1.0)
        recipe = dataclasses.replace(recipe, decay=beyond)
    found: dict[str, float] = {}
    for kind, axes in _KINDS.items():
        parameter = _parameter(axes, start, target)
        rules = {
            path: recipe.rule(dataclasses.replace(parameter, path=path), family)
            for path in paths.get(kind, (kind,))
        }
        for column, word in _COLUMNS.items():
            if column == "weight_decay" and family == "entrywise":
                found |= {f"{path} {word}": rule.weight_decay for path, rule in rules.items()}
            elif not (column == "epsilon" and family == "linear"):
                found[f"{kind} {word}"] = getattr(next(iter(rules.values())), column)
    branch = _parameter("layers | ->", start, target)
    found["branch multiplier"] = recipe.multiplier(branch)
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
        activations=not axes.outputs,
    )


def _changed(factors: Mapping[str, float]) -> dict[str, float]:
    return {name: factor for name, factor in factors.items() if factor not in (0.0, 1.0)}
