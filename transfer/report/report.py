"""The report of a run: `verdict.json`, its page and its figures."""

from collections.abc import Mapping
from typing import Any

from transfer.analysis import find_optimum, judge
from transfer.runs import RunDirectory


def write_report(run: RunDirectory, *, task: str, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Write `report/verdict.json`, `report.html` and the figures of a run; return the verdict.

    `report.html` is one file that opens offline, with the figures to explore. A figure whose data
    was not recorded is not written: that of singular values without spectra, that of training
    curves without metrics. Nothing is written when judging fails.

    Raises:
      TransferError: the run holds no trials, no sweep, or trials that do not compare.

    Example:
      >>> verdict = write_report(run, task="code, 500 steps", provenance={})  # doctest: +SKIP
      >>> verdict["recipes"]["mup+sqrt"]["transfers"]  # doctest: +SKIP
      'true'
    """
    trials = run.require_trials()
    spectrum = run.spectrum()
    verdict = judge(trials, spectrum, task=task, provenance=provenance)

    # Here and not above: matplotlib takes its time, and `--help` must not wait for it.
    from transfer.report.curves_figure import curves_figure
    from transfer.report.loss_figure import loss_figure
    from transfer.report.optimum_figure import optimum_figure
    from transfer.report.page import report_page
    from transfer.report.spectrum_figure import spectrum_figure
    from transfer.report.style import to_png

    optima = {
        recipe: [
            find_optimum(trials, recipe, int(width))
            for width in judged["optimum_log2_learning_rate"]
        ]
        for recipe, judged in verdict["recipes"].items()
    }
    metrics = run.metrics()
    figures = {
        "loss_vs_learning_rate": loss_figure(optima, verdict),
        "optimum_vs_width": optimum_figure(verdict),
        "singular_values_vs_width": spectrum_figure(verdict),
        "training_curves": curves_figure(trials, metrics, optima, verdict),
    }
    images = {name: to_png(figure) for name, figure in figures.items() if figure is not None}
    for name, image in images.items():
        run.write_bytes(f"report/{name}.png", image)
    configuration = (run.read_json("config.json") or {}).get("experiment", {})
    page = report_page(trials, metrics, spectrum, optima, verdict, configuration)
    run.write_bytes("report/report.html", page.encode())
    # Last, so that a verdict stands beside its own figures.
    run.write_json("report/verdict.json", verdict)
    return verdict
