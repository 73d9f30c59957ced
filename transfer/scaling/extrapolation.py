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
from transfer.scaling.measured_horizon import MeasuredHorizon
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
    """One axis from `start` to `target`, and the evidence for it.

    `effects` are the factors of each quantity over what it is at `base`, where hyperparameters read
    as they stand.
    """

    axis: Axis
    start: int
    target: int
    base: int
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
            f"{self.axis} {self.start} -> {self.target} (x {float(self.factor):.4g}); over the "
            f"base run's {self.axis} {self.base}: {effects or 'nothing changes'}\n"
            f"  {', '.join(filter(None, (known.level, known.source)))}: {known.validity}"
        )


def extrapolate(
    recipe: Recipe | str, family: Family, start: Scale, target: Scale, base: Scale
) -> tuple[Extrapolation, ...]:
    """Return what changes from one scale to another, nothing for an axis that stays.

    Factors are over the base run, at which hyperparameters are meant as they stand.
    Raises `TransferError` where the recipe has no rule for an axis that changes.

    Example:
      >>> base = Scale(width=32, layers=2, batch_size=16, tokens=10**6)
      >>> proxy = dataclasses.replace(base, width=64)
      >>> target = dataclasses.replace(base, width=256)
      >>> rates, decay = extrapolate(Recipe("mup"), "linear", proxy, target, base)
      >>> rates.axis, rates.factor, rates.effects["readout multiplier"], rates.evidence.level
      ('width', Fraction(4, 1), 0.125, 'theory')
    """
    recipe = Recipe.of(recipe)
    return (
        *_width(recipe, family, start, target, base),
        *_depth(recipe, family, start, target, base),
        *_batch_and_tokens(recipe, family, start, target, base),
    )


def _width(
    recipe: Recipe, family: Family, start: Scale, target: Scale, base: Scale
) -> Iterator[Extrapolation]:
    if start.width == target.width:
        return
    effects = _effects(recipe, family, base, dataclasses.replace(base, width=target.width))
    decay = {name: effects.pop(name) for name in list(effects) if name.endswith("weight decay")}
    ends = start.width, target.width, base.width
    yield _along("width", ends, effects, evidence.of_rates(recipe))
    yield _along("width", ends, decay, evidence.of_decay(recipe, family))


def _depth(
    recipe: Recipe, family: Family, start: Scale, target: Scale, base: Scale
) -> Iterator[Extrapolation]:
    if start.layers == target.layers:
        return
    if not recipe.depth:
        raise TransferError(
            f"The target has {target.layers} layers and the sweep {start.layers}, for which the "
            "recipe has no rule; expected a sweep with recipe.depth = completep or depth_mup, or "
            "a target of the sweep's own depth."
        )
    effects = _effects(recipe, family, base, dataclasses.replace(base, layers=target.layers))
    ends = start.layers, target.layers, base.layers
    yield _along("depth", ends, effects, evidence.DEPTH[recipe.depth])


def _batch_and_tokens(
    recipe: Recipe, family: Family, start: Scale, target: Scale, base: Scale
) -> Iterator[Extrapolation]:
    if (start.batch_size, start.tokens) == (target.batch_size, target.tokens):
        return
    if not recipe.horizon:
        raise TransferError(
            f"The target trains on {target.tokens} tokens in batches of {target.batch_size} and "
            f"the sweep on {start.tokens} in batches of {start.batch_size}, for which the recipe "
            "has no rule; expected a sweep with recipe.horizon = sde, a ladder of several batch "
            "sizes and numbers of tokens, or the sweep's own batch size and number of tokens."
        )
    m_batch = Fraction(target.batch_size, base.batch_size)
    m_tokens = Fraction(target.tokens, base.tokens)
    recipe.at_horizon(family, m_batch, m_tokens)  # which refuses what a ladder does not cover
    if start.batch_size != target.batch_size:
        effects = _changed(_settings(recipe, family, m_batch, Fraction(1)))
        ends = start.batch_size, target.batch_size, base.batch_size
        yield _along("batch", ends, effects, evidence.of_horizon(recipe, "batch"))
    if start.tokens != target.tokens:
        effects = _settings(recipe, family, Fraction(1), m_tokens)
        if isinstance(recipe.horizon, MeasuredHorizon) and recipe.horizon.knee:
            # What tokens add depends on the batch, which the knee ties to them.
            both = _settings(recipe, family, m_batch, m_tokens)
            before = _settings(recipe, family, m_batch, Fraction(1))
            effects = {name: both[name] / before[name] for name in both}
        ends = start.tokens, target.tokens, base.tokens
        yield _along("tokens", ends, _changed(effects), evidence.of_horizon(recipe, "tokens"))


def _along(
    axis: Axis, ends: tuple[int, int, int], effects: Mapping[str, float], known: Evidence
) -> Extrapolation:
    start, target, base = ends
    return Extrapolation(
        axis=axis, start=start, target=target, base=base, effects=effects, evidence=known
    )


def _settings(
    recipe: Recipe, family: Family, m_batch: Fraction, m_tokens: Fraction
) -> dict[str, float]:
    """What changes of the optimizer's own settings, and of the number of steps."""
    measured = recipe.horizon if isinstance(recipe.horizon, MeasuredHorizon) else None
    # A step of the way may lie outside of what a ladder covers; only its end must not.
    factors = (
        measured.factors(m_batch, m_tokens)
        if measured
        else recipe.at_horizon(family, m_batch, m_tokens)
    )
    return {
        "learning rate": factors.learning_rate,
        "weight decay": factors.weight_decay,
        "epsilon": factors.epsilon,
        "1 - beta": factors.averaging,
        "steps": float(m_tokens / m_batch),
    }


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


def _effects(recipe: Recipe, family: Family, base: Scale, target: Scale) -> dict[str, float]:
    """What changes for each kind of parameter; a measured decay is told for each matrix."""
    paths: Mapping[str, tuple[str, ...]] = {}
    if isinstance(recipe.decay, Calibration):
        paths = {"hidden": recipe.decay.paths}
    found: dict[str, float] = {}
    for kind, axes in _KINDS.items():
        parameter = _parameter(axes, base, target)
        rules = {
            path: recipe.rule(dataclasses.replace(parameter, path=path), family)
            for path in paths.get(kind, (kind,))
        }
        for column, word in _COLUMNS.items():
            if column == "weight_decay" and family == "entrywise":
                found |= {f"{path} {word}": rule.weight_decay for path, rule in rules.items()}
            elif not (column == "epsilon" and family == "linear"):
                found[f"{kind} {word}"] = getattr(next(iter(rules.values())), column)
    branch = _parameter("layers | ->", base, target)
    found["branch multiplier"] = recipe.multiplier(branch)
    return _changed(found)


def _parameter(annotation: str, base: Scale, target: Scale) -> Parameter:
    axes = Axes.parse(annotation)

    def shape(scale: Scale) -> tuple[int, ...]:
        sizes = {"embed": scale.width, "layers": scale.layers}
        return tuple(sizes.get(name, 1) for name in axes.names)

    return Parameter(
        path=annotation,
        axes=axes,
        shape=shape(target),
        base_shape=shape(base),
        growing=tuple(name == "embed" for name in axes.names),
        gain=None,
        std=None,
        tied=False,
        activations=not axes.outputs,
    )


def _changed(factors: Mapping[str, float]) -> dict[str, float]:
    return {name: factor for name, factor in factors.items() if factor not in (0.0, 1.0)}
