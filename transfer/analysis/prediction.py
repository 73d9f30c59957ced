"""Hyperparameters for a width, depth, batch size and duration that were never tuned."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from transfer.analysis.at_target import TargetValues
from transfer.analysis.calibrate import Calibrated
from transfer.analysis.estimate import Estimate, Interval, interval_json
from transfer.analysis.optimum import find_optimum
from transfer.errors import TransferError, nearest
from transfer.markup import html_table
from transfer.renamed import renamed
from transfer.run_directory import TrialResult
from transfer.scaling import (
    Calibration,
    Evidence,
    Extrapolation,
    Family,
    Recipe,
    Scale,
    extrapolate,
)
from transfer.scaling.hyperparameters import MULTIPLIERS, Hyperparameters


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """What to train the target with, in canonical units: as it reads in the base run.

    The recipe rescales them to the target; nothing is left to tune. Intervals are over seeds; an
    unknown one is None and `notes` says why. A target or base of None is the configuration's own;
    `extrapolation` says on what evidence the recipe goes from the widest proxy to the target, and
    `at_target` what every parameter there is trained with. `calibration` holds the exponents of a
    recipe whose decay is `measured`. `tuned_for` is what the hyperparameters hold for, as plain
    JSON (`transfer.sweeps.tuned_for`), and None in files of earlier versions.
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
    target_layers: int | None = None
    target_batch_size: int | None = None
    target_tokens: int | None = None
    base_layers: int | None = None
    base_batch_size: int | None = None
    base_tokens: int | None = None
    extrapolation: tuple[Extrapolation, ...] = ()
    calibration: Calibration | None = None
    at_target: TargetValues | None = None
    tuned_for: Mapping[str, Any] | None = None

    if not TYPE_CHECKING:
        __getattr__ = renamed(
            "Prediction",
            {"moved": "Prediction.extrapolated", "moves": "Prediction.extrapolation"},
        )

    @property
    def hyperparameters(self) -> Hyperparameters:
        """The same as what is trained."""
        return Hyperparameters(
            learning_rate=self.learning_rate, weight_decay=self.weight_decay, **self.multipliers
        )

    def extrapolated(
        self, recipe: Recipe, family: Family, *, proxy: Scale, target: Scale, base: Scale
    ) -> "Prediction":
        """The same hyperparameters for a target of another depth, batch size or duration too.

        `proxy` is the widest run they were tuned on, and `base` the one they are meant at. What
        stays as in the proxy is left to the configuration.

        Raises:
          TransferError: the recipe has no rule for what changes.
        """
        deeper = target.layers != proxy.layers
        longer = (target.batch_size, target.tokens) != (proxy.batch_size, proxy.tokens)
        return dataclasses.replace(
            self,
            target_layers=target.layers if deeper else None,
            base_layers=base.layers if deeper else None,
            target_batch_size=target.batch_size if longer else None,
            target_tokens=target.tokens if longer else None,
            base_batch_size=base.batch_size if longer else None,
            base_tokens=base.tokens if longer else None,
            extrapolation=extrapolate(recipe, family, proxy, target, base),
        )

    def calibrated(self, found: Calibrated) -> "Prediction":
        """The same hyperparameters for a target whose decay follows measured exponents.

        From the widest proxy on, which stays what it was.

        Raises:
          TransferError: the exponents did no better than the swept rule on the held-out width.
        """
        found.require_verified()
        recipe = dataclasses.replace(Recipe.parse(self.recipe), decay=found.calibration)
        return dataclasses.replace(
            self,
            recipe=str(recipe),
            calibration=found.calibration,
            notes=(*self.notes, *found.notes),
        )

    def __str__(self) -> str:
        """What was tuned, what the target is trained with, and how far that can be trusted."""
        rate = Estimate(self.log2_learning_rate, self.log2_learning_rate_interval)
        head = (
            f"{self.recipe} for width {self.target_width}, as it reads at the base width "
            f"{self.base_width}: learning rate {self.learning_rate:.4g} (log2 "
            f"{rate.text('z.2f')}), weight decay {self.weight_decay:.4g}."
        )
        table = [str(self.at_target)] if self.at_target else []
        return "\n".join([head, *table, *self.notes, *map(str, self.extrapolation)])

    def _repr_html_(self) -> str:
        """What to train the target with, for notebooks."""
        rate = Estimate(self.log2_learning_rate, self.log2_learning_rate_interval)
        changed = {name: value for name, value in self.multipliers.items() if value != 1.0}
        rows = [
            [f"as it reads at width {self.base_width}", self.recipe],
            ["learning rate", f"{self.learning_rate:.4g}, log2 {rate.text('z.2f')}"],
            ["weight decay", f"{self.weight_decay:.4g}"],
            *([name.replace("_", " "), f"x {value:.4g}"] for name, value in changed.items()),
            ["tuned at widths", _listed(self.proxy_widths)],
            *(["note", note] for note in self.notes),
            *(["extrapolation", str(each)] for each in self.extrapolation),
        ]
        shown = html_table(f"Hyperparameters for width {self.target_width}", rows)
        return shown + (self.at_target._repr_html_() if self.at_target else "")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, read back by `from_json`."""
        return dataclasses.asdict(self) | {
            "proxy_widths": list(self.proxy_widths),
            "log2_learning_rate_interval": interval_json(self.log2_learning_rate_interval),
            "log2_weight_decay_interval": interval_json(self.log2_weight_decay_interval),
            "multipliers": dict(self.multipliers),
            "notes": list(self.notes),
            "extrapolation": [
                dataclasses.asdict(each)
                | {"factor": float(each.factor), "effects": dict(each.effects)}
                for each in self.extrapolation
            ],
            "at_target": self.at_target.to_json() if self.at_target else None,
            "tuned_for": dict(self.tuned_for) if self.tuned_for else None,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Prediction":
        """Read what `to_json` wrote.

        Raises:
          TransferError: a field is missing or unknown.
        """
        if "moves" in content:
            raise TransferError(
                "This is a prediction of an earlier version, whose moves are now called "
                "extrapolation; write it anew with `transfer predict`."
            )
        names = {field.name for field in dataclasses.fields(cls)}
        needed = {
            field.name for field in dataclasses.fields(cls) if field.default is dataclasses.MISSING
        }
        if wrong := sorted((needed - set(content)) | (set(content) - names)):
            raise TransferError(
                f"This is not a prediction: {', '.join(wrong)} is missing or unknown; write it "
                "anew with `transfer predict`."
            )
        intervals = {
            name: None if content[name] is None else tuple(content[name])
            for name in ("log2_learning_rate_interval", "log2_weight_decay_interval")
        }
        sequences = {name: tuple(content[name]) for name in ("proxy_widths", "notes")}
        extrapolation = tuple(_extrapolation(each) for each in content.get("extrapolation", ()))
        calibration = content.get("calibration")
        if calibration is not None:
            fields: dict[str, Any] = dict(calibration)
            fields |= {name: tuple(fields[name]) for name in {"paths", "exponents"} & fields.keys()}
            calibration = Calibration(**fields)
        at_target = content.get("at_target")
        return cls(
            **{
                **content,
                **intervals,
                **sequences,
                "extrapolation": extrapolation,
                "calibration": calibration,
                "at_target": TargetValues.from_json(at_target) if at_target else None,
            }
        )


def predict(
    trials: Iterable[TrialResult],
    recipe: str,
    target_width: int | None,
    proxy_widths: Sequence[int] | None = None,
) -> Prediction:
    """Return the hyperparameters for a target width from sweeps at narrower ones.

    They are the optimum at the *widest* proxy, where finite-width effects are smallest, and are
    moved unchanged: being canonical, they need no further rescaling. Multipliers are those of the
    best setting. Only sweep trials are read, all narrower widths by default. A target of None is
    the widest proxy itself, to be moved along other axes alone (`Prediction.extrapolated`).

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
    widths = {trial.width for trial in mine}
    if target_width is None:
        target_width = max(proxy_widths or widths)
        widest = target_width + 1
    else:
        widest = target_width
    proxies = _proxies(widths, widest, proxy_widths)
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


def _extrapolation(content: Mapping[str, Any]) -> Extrapolation:
    fields = {name: value for name, value in dict(content).items() if name != "factor"}
    fields.setdefault("base", fields["start"])  # over which files of earlier versions have factors
    return Extrapolation(**{**fields, "evidence": Evidence(**fields.get("evidence", {}))})


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
