"""The report of a run: its verdict and figures, to look at or to write down."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from transfer.analysis import (
    LadderVerdict,
    Optimum,
    SweepVerdict,
    WidthSweep,
    is_ladder,
    judge,
    reference_trials,
    sweeps_by_recipe,
)
from transfer.analysis.compute import compute_spent
from transfer.errors import TransferError
from transfer.markup import Html
from transfer.report.advice import named_target, with_absolute_values
from transfer.report.axes import title
from transfer.report.charts import Picture
from transfer.report.forecast_data import ShownForecast
from transfer.report.ladder import ladder_tables, ladder_verdicts, write_ladders
from transfer.report.sublayers import invariance_html
from transfer.report.verdict import verdict_html, verdict_text
from transfer.run_directory import (
    METRICS_SCHEMA,
    SPECTRUM_SCHEMA,
    ReadOff,
    RunDirectory,
    TrialResult,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Matplotlib takes its time, and `--help` must not wait for it: figures are imported where drawn.


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Report:
    """What a run, or some trials of it, says; shows its verdict in a notebook.

    A figure whose data was not recorded is a `TransferError` that says so.

    Example:
      >>> report = Report.of(RunDirectory("runs/quickstart"))  # doctest: +SKIP
      >>> report.verdict.recipes["mup+sqrt"].answer.transfers  # doctest: +SKIP
      'true'
      >>> report.losses()  # doctest: +SKIP
    """

    trials: Sequence[TrialResult]
    metrics: pa.Table
    spectrum: pa.Table
    sweeps: Mapping[str, Sequence[WidthSweep]]
    verdict: SweepVerdict
    forecast: ShownForecast | None = None
    ladders: tuple[LadderVerdict, ...] = ()

    @classmethod
    def of(
        cls,
        run: RunDirectory,
        *,
        task: str = "",
        provenance: Mapping[str, Any] | None = None,
        horizon: ReadOff | None = None,
    ) -> "Report":
        """Judge all trials of a run; `task` and `provenance` go into the verdict.

        With a horizon, what was read off trunks there is judged as a sweep of runs of that length,
        without curves and singular values, which are those of whole runs.

        Raises:
          TransferError: the run holds no trials, no sweep, or trials that do not compare.
        """
        every, experiment = run.require_trials(horizon), _experiment(run, horizon)
        spectrum, metrics = SPECTRUM_SCHEMA.empty_table(), METRICS_SCHEMA.empty_table()
        if horizon is None:
            spectrum, metrics = run.spectrum(), run.metrics()
        # The widths of a ladder compare at one of its rungs.
        trials, target = reference_trials(every), named_target(experiment)
        report = cls._judge(
            trials,
            metrics,
            spectrum,
            task=task,
            provenance=provenance or {},
            target=target,
        )
        verdict = with_absolute_values(report.verdict, experiment, every)
        ladders: tuple[LadderVerdict, ...] = ()
        if is_ladder(every):
            verdict = dataclasses.replace(verdict, compute=compute_spent(every, target))
            ladders = ladder_verdicts(every)
        forecast = ShownForecast.of(run, trials) if horizon is None else None
        return dataclasses.replace(report, verdict=verdict, forecast=forecast, ladders=ladders)

    @classmethod
    def of_trials(cls, trials: Sequence[TrialResult]) -> "Report":
        """Judge some trials alone, without curves and singular values."""
        metrics, spectrum = METRICS_SCHEMA.empty_table(), SPECTRUM_SCHEMA.empty_table()
        return cls._judge(trials, metrics, spectrum, task="", provenance={})

    @classmethod
    def _judge(
        cls,
        trials: Sequence[TrialResult],
        metrics: pa.Table,
        spectrum: pa.Table,
        *,
        task: str,
        provenance: Mapping[str, Any],
        target: int | None = None,
    ) -> "Report":
        # Optima are found here, once for the verdict and every figure.
        sweeps = sweeps_by_recipe(trials)
        verdict = judge(
            trials, spectrum, task=task, provenance=provenance, sweeps=sweeps, target=target
        )
        return cls(trials, metrics, spectrum, sweeps, verdict)

    @property
    def optima(self) -> dict[str, tuple[Optimum, ...]]:
        """The optimum at every width, narrow ones first, by recipe."""
        return {recipe: judged.optima for recipe, judged in self.verdict.recipes.items()}

    def losses(self) -> Picture:
        """Loss over learning rate, one curve per width."""
        return self._picture("loss_vs_learning_rate", "a sweep")

    def decay(self) -> Picture:
        """Loss over learning rate and weight decay, one map per width."""
        return self._picture("loss_vs_decay", "a sweep of several weight decays")

    def best(self) -> Picture:
        """The best learning rate against width."""
        return self._picture("optimum_vs_width", "a sweep")

    def singular_values(self) -> Picture:
        """Top singular values against width, beside the slopes that are predicted."""
        return self._picture("singular_values_vs_width", "singular values at two widths")

    def invariance(self) -> Html:
        """Whether every sublayer's top singular value keeps its size as width grows."""
        return Html(invariance_html(self.verdict))

    def law(self) -> Picture:
        """Loss against parameters and FLOPs: the proxies, their law, and the forecast beside it."""
        return self._picture("forecast", "a forecast, as transfer forecast registers it")

    def curves(self) -> Picture:
        """Training loss at the transferred learning rate."""
        return self._picture("training_curves", "the training curves of a run")

    def drawings(self) -> "dict[str, Callable[[], Figure | None]]":
        """What draws each figure, by the name of its file; None where data was not recorded."""
        from transfer.report.curves_figure import curves_figure
        from transfer.report.decay_figure import decay_figure
        from transfer.report.forecast_figure import forecast_figure
        from transfer.report.loss_figure import loss_figure
        from transfer.report.optimum_figure import optimum_figure
        from transfer.report.spectrum_figure import spectrum_figure

        return {
            "loss_vs_learning_rate": lambda: loss_figure(self.sweeps, self.verdict),
            "loss_vs_decay": lambda: decay_figure(self.trials, self.verdict),
            "optimum_vs_width": lambda: optimum_figure(self.verdict),
            "singular_values_vs_width": lambda: spectrum_figure(self.verdict),
            "forecast": lambda: forecast_figure(self.forecast) if self.forecast else None,
            "training_curves": lambda: curves_figure(self.trials, self.metrics, self.verdict),
        }

    def page(self, configuration: Mapping[str, Any], run: str = "") -> str:
        """The report as one HTML file; `configuration` is the run's, and `run` where it lies."""
        from transfer.report.page import report_page

        return report_page(
            self.trials,
            self.metrics,
            self.spectrum,
            self.sweeps,
            self.verdict,
            configuration,
            run,
            self.forecast,
            self.ladders,
        )

    def _picture(self, name: str, needed: str) -> Picture:
        figure = self.drawings()[name]()
        if figure is None:
            raise TransferError(f"There is nothing to draw; expected {needed}.")
        return Picture.of(figure)

    def __repr__(self) -> str:
        return f"Report({'; '.join(map(title, self.verdict.recipes.values()))})"

    def __str__(self) -> str:
        ladders = [ladder_tables(each).text() for each in self.ladders]
        return "\n\n".join([verdict_text(self.verdict), *ladders])

    def _repr_html_(self) -> str:
        return verdict_html(self.verdict)


def report_folder(horizon: ReadOff | None = None) -> str:
    """Return where in a run directory a report is written: that on a horizon apart.

    Example:
      >>> report_folder(), report_folder(ReadOff(400, "branch"))
      ('report', 'report/branch-400')
    """
    return "report" if horizon is None else f"report/{horizon.kind}-{horizon.steps}"


def write_report(
    run: RunDirectory,
    *,
    task: str,
    provenance: Mapping[str, Any],
    horizon: ReadOff | None = None,
) -> SweepVerdict:
    """Write `report/verdict.json`, `report.html` and the figures of a run; return the verdict.

    `report.html` is one file that opens offline, with the figures to explore. A figure whose data
    was not recorded is not written: that of singular values without spectra, that of training
    curves without metrics, that of decays where one was swept. Nothing is written when judging
    fails. The report on a horizon lies in a folder of its own, `report_folder`.

    Raises:
      TransferError: the run holds no trials, no sweep, or trials that do not compare.

    Example:
      >>> verdict = write_report(run, task="code, 500 steps", provenance={})  # doctest: +SKIP
      >>> verdict.recipes["mup+sqrt"].answer.transfers  # doctest: +SKIP
      'true'
    """
    report = Report.of(run, task=task, provenance=provenance, horizon=horizon)
    folder = report_folder(horizon)

    from transfer.report.style import to_png

    images = {
        name: to_png(figure)
        for name, draw in report.drawings().items()
        if (figure := draw()) is not None
    }
    for name, image in images.items():
        run.write_bytes(f"{folder}/{name}.png", image)
    page = report.page(_experiment(run, horizon), str(run))
    run.write_bytes(f"{folder}/report.html", page.encode())
    if report.forecast:
        judged = [each.to_json() for each in report.forecast.judged]
        content = {"registered": report.forecast.registered, "targets": judged}
        run.write_json("report/forecast.json", content)
    if report.ladders:
        write_ladders(run, report.ladders)
    # Last, so that a verdict stands beside its own figures.
    run.write_json(f"{folder}/verdict.json", report.verdict.to_json())
    return report.verdict


def _experiment(run: RunDirectory, horizon: ReadOff | None) -> Mapping[str, Any]:
    """The configuration of the trials, empty where none is recorded."""
    recorded: Mapping[str, Any] = (run.config() or {}).get("experiment", {})
    if horizon is None or not recorded:
        return recorded
    # These import JAX, which asking for help must not wait for.
    from transfer.config import read
    from transfer.sweeps import experiment_at

    content: dict[str, Any] = json.loads(
        json.dumps(dataclasses.asdict(experiment_at(read(recorded), horizon)))
    )
    return content
