"""A recipe for another training script: the optimizer's parameter groups, as plain data."""

import dataclasses
import re
from typing import Any, Literal

from transfer.analysis import TargetRow
from transfer.errors import TransferError
from transfer.models import TransformerConfig
from transfer.models.export import folded_parameters
from transfer.sweeps.target_values import multiplier_values, parameter_values, target_values
from transfer.training import TrialGroup

Library = Literal["torch", "optax"]
_LAYER = re.compile(r"(?<=\.)\d+(?=\.)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerGroups:
    """What AdamW of another library is given to take this library's steps.

    Fields:
      library: whose AdamW it is for.
      settings: of the optimizer itself, its betas.
      groups: each with the names, or patterns (`*` for a layer's number), of the parameters that
        share `learning_rate`, `weight_decay` and `eps`; the init std and the multiplier of the
        forward pass, where they are to be applied.
      notes: what else the training script has to do, in sentences.
    """

    library: Library
    settings: dict[str, float]
    groups: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return dataclasses.asdict(self)


def optimizer_groups(group: TrialGroup, library: Library) -> OptimizerGroups:
    """Return the parameter groups of a group's first trial for another library's AdamW.

    For `torch` they are those of the published LLaMA or Qwen3 model that `transfer export` writes,
    into whose weights the multipliers are folded. A weight W' = s W with its multiplier s folded in
    has the gradient g / s, and takes the same steps with

        learning rate' = s learning rate,  decay' = decay / s,  epsilon' = epsilon / s

    because torch and optax take w <- w - lr (m / (sqrt(v) + eps) + decay w). For `optax` names are
    paths of this library's own parameters, whose multipliers stay in the forward pass.

    Raises:
      TransferError: the optimizer is not AdamW; for `torch` also a model without a published form,
        tied embeddings, and a multiplier of zero.

    Example:
      >>> from transfer.config import read
      >>> group = read({"model": {"width": 64, "layers": 2}, "base_width": 16}).single_run()
      >>> found = optimizer_groups(group, "torch").groups
      >>> next(g for g in found if "model.layers.*.mlp.up_proj.weight" in g["names"])["lr"]
      0.00390625
    """
    if group.training.optimizer != "adamw":
        raise TransferError(
            f"Parameter groups are written for AdamW, but training.optimizer is "
            f"{group.training.optimizer}; expected adamw."
        )
    rows = {row.parameters[0]: row for row in parameter_values(group)}
    trained = {path: rows[path] for path in group.layout.parameters}
    named = _published(group) if library == "torch" else {path: (path, 1.0) for path in trained}
    rate = "lr" if library == "torch" else "learning_rate"
    gathered: dict[tuple[Any, ...], list[str]] = {}
    for name, (path, scale) in named.items():
        names = gathered.setdefault(_values(trained[path], scale), [])
        pattern = _LAYER.sub("*", name) if library == "torch" else name
        if pattern not in names:
            names.append(pattern)
    notes = [
        "Learning rates are the peak of the schedule: "
        f"{group.training.schedule} with {group.training.warmup} steps of warmup.",
    ]
    if group.training.clip:
        notes.append(
            f"Gradients are clipped here at a norm of {group.training.clip:g} by the recipe's own "
            "norm of the gradient; another norm makes other steps where it clips."
        )
    if library == "optax":
        notes.append("Multipliers are those of the forward pass and are not in the weights.")
        notes += [
            f"{path} is multiplied by {row.multiplier:g} in the forward pass."
            for path, row in rows.items()
            if path not in trained and row.multiplier != 1.0
        ]
    groups = tuple(
        {"names": names, rate: lr, "weight_decay": decay, "eps": eps, "init_std": std}
        | ({"multiplier": multiplier} if library == "optax" else {})
        for (lr, decay, eps, std, multiplier), names in gathered.items()
    )
    settings = dict(target_values(group).settings)
    return OptimizerGroups(library=library, settings=settings, groups=groups, notes=tuple(notes))


def _values(row: TargetRow, scale: float) -> tuple[float | None, ...]:
    """Learning rate, decay, epsilon, init std and multiplier of a weight times `scale`."""
    rate, decay, epsilon, std, multiplier = row.values
    assert rate is not None
    assert decay is not None
    assert epsilon is not None
    return (
        rate * scale,
        decay / scale,
        epsilon / scale,
        None if std is None else std * scale,
        multiplier,
    )


def _published(group: TrialGroup) -> dict[str, tuple[str, float]]:
    """Names of the exported checkpoint, each with its parameter and what is folded into it."""
    config = group.model
    if not isinstance(config, TransformerConfig):
        raise TransferError(
            f"{type(config).__name__} has no published form whose names PyTorch knows; expected a "
            "transformer, or --for=optax."
        )
    if config.tied:
        raise TransferError(
            "A tied table is written twice for PyTorch, each with its own multiplier, and would "
            "no longer be one parameter; expected model.tied = False, or --for=optax."
        )
    found = folded_parameters(config, group.layout, multiplier_values(group))
    if zero := [name for name, each in found.items() if each.scale == 0]:
        raise TransferError(
            f"The multiplier of {zero[0]} is 0, which cannot be folded into a weight; expected a "
            "recipe without it."
        )
    return {name: (each.path, each.scale) for name, each in found.items()}
