"""What the figures of a forecast show: points, law, band, the held-out width and the targets."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from transfer.analysis import Forecast, JudgedForecast, judge_forecast, registered_forecast
from transfer.analysis.estimate import Interval
from transfer.analysis.forecast import SIZES, HeldOut, RecipeForecast
from transfer.run_directory import OBJECTIVES, RunDirectory, TrialResult

_PLACES = 33


@dataclasses.dataclass(frozen=True, kw_only=True)
class LawRow:
    """The law and its band at one size."""

    size: float
    loss: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetMark:
    """A forecast at one size, and what came, if anything did."""

    width: int
    size: float
    loss: float
    interval: Interval
    came: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForecastPanel:
    """One recipe's forecast over one kind of size.

    Fields:
      size: what the size is called.
      unit: what the loss is called.
      proxies: width, size and loss of each, narrow ones first.
      held_out: the forecast of the widest proxy, and its place.
    """

    recipe: str
    size: str
    unit: str
    proxies: tuple[tuple[int, float, float], ...]
    law: tuple[LawRow, ...]
    held_out: HeldOut
    held_out_size: float
    targets: tuple[TargetMark, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShownForecast:
    """A run's forecast, when it was registered, and what became of it."""

    forecast: Forecast
    registered: str
    judged: tuple[JudgedForecast, ...]

    @classmethod
    def of(cls, run: RunDirectory, trials: Sequence[TrialResult]) -> "ShownForecast | None":
        """Read it, or return None where the run has none.

        Raises:
          TransferError: the run's forecast.json is no forecast.
        """
        found = registered_forecast(run)
        if found is None:
            return None
        made, registered = found
        judged = tuple(judge_forecast(made, trials))
        return cls(forecast=made, registered=registered, judged=judged)

    @property
    def claim(self) -> str:
        """Say what came of it: the first target that was trained, or that none was."""
        trained = [each for each in self.judged if each.loss is not None and each.error is not None]
        if not trained:
            first = self.judged[0]
            return (
                f"{first.recipe} will reach {first.forecast:.3f} at width {first.width}, "
                f"between {first.interval[0]:.3f} and {first.interval[1]:.3f}"
            )
        inside = sum(bool(each.inside) for each in trained)
        worst = max(abs(each.error) for each in trained if each.error is not None)
        if len(trained) == 1:
            word = "inside" if inside else "outside"
            (each,) = trained
            return (
                f"{each.recipe} at width {each.width} came {word} the forecast's interval, "
                f"{100 * worst:.2f} % off"
            )
        return (
            f"{inside} of {len(trained)} targets came inside the forecast's interval, at most "
            f"{100 * worst:.2f} % off"
        )

    @property
    def sentences(self) -> list[str]:
        """Say what became of the targets that were trained, and which were not."""
        said = [str(each) for each in self.judged if each.loss is not None or each.note]
        waiting = [each for each in self.judged if each.loss is None and not each.note]
        names = dict.fromkeys(each.recipe for each in waiting)
        for name in names:
            widths = ", ".join(str(each.width) for each in waiting if each.recipe == name)
            said.append(f"{name}: of the widths that were forecast {widths} are not trained yet.")
        return [f"Forecast of {self.registered}:", *said]

    def panels(self) -> list[ForecastPanel]:
        """Return a panel per recipe and kind of size."""
        return [
            self._panel(found, size) for found in self.forecast.recipes.values() for size in SIZES
        ]

    def _panel(self, found: RecipeForecast, size: str) -> ForecastPanel:
        law, targets = found.laws[size], found.targets[size]
        sizes = [point.size for point in law.points]
        reach = np.geomspace(sizes[0], targets[-1].size, _PLACES)
        band = [law.interval(float(place), found.seeds) for place in reach]
        came = {each.width: each.loss for each in self.judged if each.recipe == found.recipe}
        return ForecastPanel(
            recipe=found.recipe,
            size=SIZES[size],
            unit=OBJECTIVES[found.objective],
            proxies=tuple(
                (width, point.size, point.loss)
                for width, point in zip(found.widths, law.points, strict=True)
            ),
            law=tuple(
                LawRow(size=float(place), loss=law.at(float(place)), low=low, high=high)
                for place, (low, high) in zip(reach, band, strict=True)
            ),
            held_out=found.held_out[size],
            held_out_size=sizes[-1],
            targets=tuple(
                TargetMark(
                    width=target.width,
                    size=target.size,
                    loss=target.loss,
                    interval=target.interval,
                    came=came.get(target.width),
                )
                for target in targets
            ),
        )


def loss_limits(panels: Sequence[ForecastPanel]) -> tuple[float, float]:
    """Return the range that shows every point, and of bands what is near the first target."""
    shown = [loss for panel in panels for _, _, loss in panel.proxies]
    for panel in panels:
        first, *others = panel.targets
        shown += [*first.interval, *(mark.loss for mark in others)]
        shown += [mark.came for mark in panel.targets if mark.came is not None]
        shown += panel.held_out.interval
    low, high = min(shown), max(shown)
    margin = 0.05 * (high - low) or 0.1
    return low - margin, high + margin


def size_text(value: float) -> str:
    """Write a size as a number with a power of ten.

    Example:
      >>> size_text(289000.0), size_text(1e12)
      ('2.9e5', '1e12')
    """
    power = math.floor(math.log10(value) + 1e-9)
    return f"{value / 10.0**power:.2g}e{power}"
