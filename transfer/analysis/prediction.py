"""Hyperparameters for a width, depth, batch size and duration that were never tuned."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transfer.analysis.advice_text import AdviceText
from transfer.analysis.at_target import TargetValues
from transfer.analysis.calibrate import Calibrated
from transfer.analysis.estimate import Estimate, Interval, interval_json
from transfer.errors import TransferError
from transfer.notation import hyperparameter, interval, learning_rate, listed, number
from transfer.renamed import renamed
from transfer.scaling import (
    Calibration,
    Evidence,
    Extrapolation,
    Family,
    MeasuredHorizon,
    Recipe,
    Scale,
    extrapolate,
)
from transfer.scaling.hyperparameters import Hyperparameters


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """What to train the target with, in canonical units: as it reads in the base run.

    The recipe rescales them to the target; nothing is left to tune. A `base_width` of 0 is unknown:
    values are as a table of results has them. Intervals are 95 %; an unknown one is None and
    `notes` says why. A target or base of None is the configuration's own;
    `extrapolation` says on what evidence the recipe goes from the widest proxy to the target, and
    `at_target` what every parameter there is trained with. `calibration` holds the exponents of a
    recipe whose decay is `measured`, and `horizon` those of a ladder for batch size and number of
    tokens. `tuned_for` is what the hyperparameters hold for, as plain
    JSON (`transfer.sweeps.tuned_for`), and None in files of earlier versions. `warnings` has a
    sentence for every swept hyperparameter that the proxies did not show to transfer, `tentative`
    says where they are few, and `forecast` is the relative regret to expect at the target.
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
    horizon: MeasuredHorizon | None = None
    at_target: TargetValues | None = None
    tuned_for: Mapping[str, Any] | None = None
    warnings: tuple[str, ...] = ()
    tentative: str | None = None
    forecast: Estimate | None = None

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

    def on_ladder(self, horizon: MeasuredHorizon, notes: tuple[str, ...]) -> "Prediction":
        """The same hyperparameters, to be moved along batch size and tokens as a ladder measured.

        `notes` say what of the ladder this rests on.
        """
        return dataclasses.replace(self, horizon=horizon, notes=(*self.notes, *notes))

    @property
    def sentence(self) -> str:
        """What to train the target with, in a sentence.

        Numbers are canonical, as `config.hyperparameters` takes them.
        """
        told = [f"{name} {value}" for name, value in self._named()]
        return f"At {self._where()} use {listed(told)} under {self.recipe}."

    @property
    def expected(self) -> str | None:
        """By how much the target's loss will be above its best, in a sentence; None if unknown."""
        if self.forecast is None or self.forecast.value is None:
            return None
        return (
            f"Expected regret at width {self.target_width}: {self.forecast.text('.2%')} of the "
            "lowest loss that tuning there would find."
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """How sure the prediction is and how it reads, a sentence each."""
        if self.base_width:
            canonical = (
                f"These are values of config.hyperparameters, which hold at the base width "
                f"{self.base_width}; the recipe rescales them to every other width."
            )
        else:
            canonical = (
                "These are values as the table of results has them; what rescaled them at its "
                f"widths does so at width {self.target_width} too."
            )
        tentative = f"Tentative: {self.tentative}." if self.tentative else ""
        return tuple(filter(None, (tentative, self.expected, canonical)))

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the prediction takes for granted, a sentence each."""
        rules = []
        for each in self.extrapolation:
            level = "no evidence" if each.evidence.level == "none" else each.evidence.level
            known = ", ".join(filter(None, (level, each.evidence.source)))
            moved = f"{each.axis} {each.start} -> {each.target} (x {float(each.factor):.4g})"
            rules.append(f"{moved}, {known}: {each.evidence.validity}")
        return (*self.notes, *rules)

    @property
    def text(self) -> AdviceText:
        """What to do, how sure that is, every parameter's values at the target, what is assumed."""
        return AdviceText(
            sentence=self.sentence,
            warnings=self.warnings,
            notes=self.remarks,
            values=self.at_target,
            assumed=self.assumptions,
        )

    def __str__(self) -> str:
        """The same as lines."""
        return str(self.text)

    def _repr_html_(self) -> str:
        """The same for notebooks."""
        return self.text.html()

    def _named(self) -> list[tuple[str, str]]:
        """The hyperparameters that are not at their default, in words, with their intervals."""
        changed = {name: value for name, value in self.multipliers.items() if value != 1.0}
        return [
            (
                "learning rate",
                learning_rate(self.learning_rate) + _interval(self.log2_learning_rate_interval),
            ),
            *([("decay", self._decay())] if self.base_width or self.weight_decay else []),
            *((hyperparameter(name), f"x {value:.4g}") for name, value in changed.items()),
        ]

    def _decay(self) -> str:
        fitted = self.log2_weight_decay_interval
        told = number(self.weight_decay) if fitted else f"{self.weight_decay:.4g}"
        return told + _interval(fitted)

    def _where(self) -> str:
        others = {
            "depth": self.target_layers,
            "batch size": self.target_batch_size,
            "tokens": self.target_tokens,
        }
        moved = [f"{name} {value}" for name, value in others.items() if value is not None]
        return listed([f"width {self.target_width}", *moved])

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
            "warnings": list(self.warnings),
            "forecast": self.forecast.to_json() if self.forecast else None,
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
        sequences = {
            name: tuple(content.get(name, ())) for name in ("proxy_widths", "notes", "warnings")
        }
        forecast = content.get("forecast")
        extrapolation = tuple(_extrapolation(each) for each in content.get("extrapolation", ()))
        calibration = content.get("calibration")
        if calibration is not None:
            fields: dict[str, Any] = dict(calibration)
            fields |= {name: tuple(fields[name]) for name in {"paths", "exponents"} & fields.keys()}
            calibration = Calibration(**fields)
        horizon, at_target = content.get("horizon"), content.get("at_target")
        return cls(
            **{
                **content,
                **intervals,
                **sequences,
                "extrapolation": extrapolation,
                "calibration": calibration,
                "horizon": MeasuredHorizon(**horizon) if horizon else None,
                "at_target": TargetValues.from_json(at_target) if at_target else None,
                "forecast": Estimate.from_json(forecast) if forecast else None,
            }
        )


def _extrapolation(content: Mapping[str, Any]) -> Extrapolation:
    fields = {name: value for name, value in dict(content).items() if name != "factor"}
    fields.setdefault("base", fields["start"])  # over which files of earlier versions have factors
    return Extrapolation(**{**fields, "evidence": Evidence(**fields.get("evidence", {}))})


def _interval(log2: Interval | None) -> str:
    return "" if log2 is None else " " + interval(2 ** log2[0], 2 ** log2[1])
