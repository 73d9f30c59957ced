"""What a sweep advises, the first that is shown of it, and what it cost."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from transfer.analysis import AdviceText, SweepVerdict, TargetValues
from transfer.analysis.at_target import HEADER
from transfer.analysis.compute import ComputeSpent
from transfer.errors import TransferError
from transfer.notation import listed
from transfer.report.tables import Table
from transfer.run_directory import TrialResult


def advice_text(verdict: SweepVerdict) -> AdviceText | None:
    """Return the words of what is advised first; None for files that hold no advice.

    Example:
      >>> advice_text(verdict).sentence  # doctest: +SKIP
      'At width 128 use learning rate 0.056 (2^-4.2) [0.048, 0.075] and decay 0.1 under mup+sqrt.'
    """
    if not verdict.advice:
        return None
    first = verdict.advice[0]
    if first.prediction is None:
        return AdviceText(first.sentence)
    notes = [] if first.because is None else [f"{first.because}."]
    if not first.named:
        notes.append(
            f"The run has no target, so width {first.width} stands for any; transfer predict "
            "--width=WIDTH says it for another."
        )
    text = first.prediction.text
    return dataclasses.replace(text, notes=[*notes, *text.notes])


def named_target(experiment: Mapping[str, Any]) -> int | None:
    """Return the width that a configuration names as its target, wider than all that it sweeps.

    Example:
      >>> named_target({"model": {"width": 128}, "sweep": {"widths": [16, 32, 64]}})
      128
      >>> named_target({"model": {"width": 64}, "sweep": {"widths": [16, 32, 64]}}) is None
      True
    """
    width = experiment.get("model", {}).get("width", 0)
    declared = experiment.get("sweep", {}).get("widths", ())
    return width if declared and width > max(declared) else None


def with_absolute_values(
    verdict: SweepVerdict, experiment: Mapping[str, Any], trials: Sequence[TrialResult] = ()
) -> SweepVerdict:
    """Return a verdict whose advice also holds what every parameter of the target is trained with.

    Arguments:
      verdict: of the sweep.
      experiment: the run's own configuration as plain JSON; where it cannot be read, or does not
        fit the advice, the verdict is returned as it is.
      trials: of the run, by which the rung of a ladder is known.
    """
    if not experiment or not verdict.advice:
        return verdict
    # These import JAX, which asking for help must not wait for.
    from transfer.config import read
    from transfer.sweeps import extrapolated
    from transfer.sweeps.ladder import reference_experiment

    try:
        configuration = reference_experiment(read(experiment), trials)
        advice = tuple(
            dataclasses.replace(each, prediction=extrapolated(configuration, each.prediction))
            if each.prediction
            else each
            for each in verdict.advice
        )
    except TransferError:
        return verdict
    return dataclasses.replace(verdict, advice=advice)


def values_table(values: TargetValues) -> Table:
    """Return the absolute values at a target, a row for the parameters of one role."""
    rows = [(*cells, named) for cells, named in values.lines]
    return Table((*HEADER, "parameters"), rows)


def trained_table(compute: ComputeSpent) -> Table:
    """Return what was trained, a row per width.

    Example:
      >>> print(trained_table(compute).text())  # doctest: +SKIP
      width  parameters  tokens  trials  diverged  wall time
      16     14.9K       154K    36      0         24 s
    """
    rows = []
    for each in compute.widths:
        seconds = each.wall_seconds
        gone = str(each.diverged) + (f", {each.failed} failed" if each.failed else "")
        time = "-" if seconds is None else duration(seconds)
        rows.append(
            (
                str(each.width),
                count(each.parameters),
                count(each.tokens),
                str(each.trials),
                gone,
                time,
            )
        )
    header = ("width", "parameters", "tokens", "trials", "diverged", "wall time")
    return Table(header, rows, words=0)


def spent(compute: ComputeSpent) -> str:
    """Return what tuning on proxies cost beside tuning elsewhere, in a sentence.

    Example:
      >>> from transfer.analysis.compute import TuningCost
      >>> near = TuningCost(width=8, flops=1.6e12, ratio=1.2)
      >>> far = TuningCost(width=64, flops=5e14, ratio=0.004)
      >>> spent(ComputeSpent(proxy_flops=2e12, tuning=(near, far))).partition(": ")[2]
      '120 % of tuning at width 8 and 0.4 % of tuning at width 64.'
      >>> spent(ComputeSpent(reason="no recipe has two widths"))
      'What tuning on proxies saves is unknown: no recipe has two widths.'
    """
    if not compute.tuning:
        return f"What tuning on proxies saves is unknown: {compute.reason}."
    shares = [f"{_percent(each.ratio)} of tuning at width {each.width}" for each in compute.tuning]
    return (
        f"Tuning on the proxies took {compute.proxy_flops:.1e} floating-point operations: "
        f"{listed(shares)}."
    )


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it.

    Example:
      >>> duration(24.3), duration(660), duration(7.3 * 3600)
      ('24 s', '11 min', '7.3 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.3g} h"


def count(number: int) -> str:
    """Return a number with three digits, and a dash for 0, which stands for unknown.

    Example:
      >>> count(768), count(139584), count(7_000_000_000), count(0)
      ('768', '140K', '7B', '-')
    """
    if not number:
        return "-"
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return str(number)


def _percent(ratio: float) -> str:
    return f"{100 * ratio:.0f} %" if ratio >= 0.095 else f"{100 * ratio:.1g} %"
