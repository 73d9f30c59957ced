"""Hyperparameters for a width that was never tuned."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from transfer.analysis.estimate import Interval, interval_json
from transfer.analysis.optimum import find_optimum
from transfer.errors import TransferError, nearest
from transfer.runs import Trial
from transfer.scaling.hyperparameters import MULTIPLIERS, Hyperparameters


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """What to train the target width with, in canonical units: as it reads at the base width.

    The recipe rescales them to the target; nothing is left to tune. Intervals are over seeds; an
    unknown one is None and `notes` says why.
    """

    recipe: str
    target_width: int
    base_width: int
    proxy_widths: tuple[int, ...]
    learning_rate: float
    log2_learning_rate: float
    log2_learning_rate_interval: Interval | None
    weight_decay: float
    log2_weight_decay_interval: Interval | None
    multipliers: Mapping[str, float]
    notes: tuple[str, ...]

    @property
    def hyperparameters(self) -> Hyperparameters:
        """The same as what is trained."""
        return Hyperparameters(
            learning_rate=self.learning_rate, weight_decay=self.weight_decay, **self.multipliers
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, read back by `from_json`."""
        return dataclasses.asdict(self) | {
            "proxy_widths": list(self.proxy_widths),
            "log2_learning_rate_interval": interval_json(self.log2_learning_rate_interval),
            "log2_weight_decay_interval": interval_json(self.log2_weight_decay_interval),
            "multipliers": dict(self.multipliers),
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Prediction":
        """Read what `to_json` wrote.

        Raises:
          TransferError: a field is missing or unknown.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if wrong := sorted(names ^ set(content)):
            raise TransferError(
                f"This is not a prediction: {', '.join(wrong)} is missing or unknown; write it "
                "anew with `transfer predict`."
            )
        intervals = {
            name: None if content[name] is None else tuple(content[name])
            for name in ("log2_learning_rate_interval", "log2_weight_decay_interval")
        }
        sequences = {name: tuple(content[name]) for name in ("proxy_widths", "notes")}
        return cls(**{**content, **intervals, **sequences})


def predict(
    trials: Iterable[Trial],
    recipe: str,
    target_width: int,
    proxy_widths: Sequence[int] | None = None,
) -> Prediction:
    """Return the hyperparameters for a target width from sweeps at narrower ones.

    They are the optimum at the *widest* proxy, where finite-width effects are smallest, and are
    moved unchanged: being canonical, they need no further rescaling. Multipliers are those of the
    best setting. Only sweep trials are read, all narrower widths by default.

    Raises:
      TransferError: no sweep of that recipe is narrower than the target, a proxy width is missing
        or too wide, or the widest proxy's optimum is undecided (the message says what to add).

    Example:
      >>> predict(trials, "mup+sqrt", target_width=1024).learning_rate  # doctest: +SKIP
      0.0173
    """
    swept = [trial for trial in trials if trial.origin == "sweep" and trial.status != "failed"]
    mine = [trial for trial in swept if trial.recipe == recipe]
    if not mine:
        recipes = sorted({trial.recipe for trial in swept})
        raise TransferError(
            f"There are no finished sweep trials of {recipe}; there are of "
            f"{', '.join(recipes) or 'no recipe'}{nearest(recipe, recipes)}."
        )
    base_widths = sorted({trial.base_width for trial in mine})
    if len(base_widths) > 1:
        raise TransferError(
            f"The trials of {recipe} have different base widths ({_listed(base_widths)}), so their "
            "learning rates do not compare; keep them in separate run directories."
        )
    proxies = _proxies({trial.width for trial in mine}, target_width, proxy_widths)
    optimum = find_optimum(mine, recipe, proxies[-1])
    rate, decay = optimum.log2_learning_rate, optimum.log2_weight_decay
    if rate.value is None:
        raise TransferError(f"{recipe} cannot be predicted yet: {rate.reason}.")
    unknown = {"learning rate": rate, "weight decay": decay}
    gaps = [
        f"no interval of the {name}: {e.reason}" for name, e in unknown.items() if e and e.reason
    ]
    return Prediction(
        recipe=recipe,
        target_width=target_width,
        base_width=base_widths[0],
        proxy_widths=proxies,
        learning_rate=2**rate.value,
        log2_learning_rate=rate.value,
        log2_learning_rate_interval=rate.interval,
        weight_decay=optimum.weight_decay,
        log2_weight_decay_interval=decay.interval if decay else None,
        multipliers={name: getattr(optimum.best, name) for name in MULTIPLIERS},
        notes=(
            f"the optimum at width {proxies[-1]}, moved unchanged",
            *([optimum.note] if optimum.note else []),
            *gaps,
        ),
    )


def _proxies(swept: set[int], target: int, wanted: Sequence[int] | None) -> tuple[int, ...]:
    proxies = tuple(sorted(width for width in swept if width < target))
    if wanted is not None:
        if missing := sorted(set(wanted) - swept):
            raise TransferError(
                f"Proxy width {_listed(missing)} was not swept; expected some of "
                f"{_listed(sorted(swept))}."
            )
        proxies = tuple(sorted(set(wanted)))
    if not proxies or proxies[-1] >= target:
        widths = _listed(proxies or sorted(swept))
        raise TransferError(
            f"The target width {target} is not wider than its proxies ({widths}); ask for a larger "
            "target or sweep a narrower width."
        )
    return proxies


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
