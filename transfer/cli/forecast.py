"""Says what loss a target will reach, from the sweep of narrower widths in --run, before it trains.

A law L = E + A x^-a is fitted to the lowest loss of every width, of which it takes at least five,
and the widest is held out once as a test. The forecast, with an interval that holds the loss with
95 %, goes to forecast.json in --run. There it stays: transfer report judges it once the target is
trained, and a target that is trained already gets none.

Without --width it is for the target of the sweep's configuration, and for two and four times its
width. Where several recipes were swept it also says where their laws cross.

--target=RUN judges the forecast by a run in another directory, as transfer train makes it.
"""

from collections.abc import Sequence

from absl import flags as absl_flags

from transfer.cli import flags, platform
from transfer.errors import TransferError


def define(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Define the verb's flags."""
    flags.define_run(values)
    absl_flags.DEFINE_list("width", [], "widths to forecast, as in 256,512", flag_values=values)
    absl_flags.DEFINE_bool(
        "replace", False, "forecast anew and keep the earlier one under a number", values
    )
    absl_flags.DEFINE_string(
        "target", None, "a run directory that the forecast is to be judged by", flag_values=values
    )


def run(values: absl_flags.FlagValues) -> int:
    """Forecast and write, or show what was forecast."""
    platform.prepare()
    from transfer.analysis import judge_forecast, registered_forecast
    from transfer.cli.console import say
    from transfer.run_directory import FORECAST, RunDirectory
    from transfer.sweeps import register_forecast, target_widths

    directory, asked = flags.run_directory(values), _widths(values["width"].value or [])
    directory.require_trials()
    experiment, known = flags.recorded_experiment(directory), registered_forecast(directory)
    anew = values["replace"].value or (asked and known and asked != known[0].widths)
    if known is None or anew:
        widths = target_widths(experiment, asked)
        made = register_forecast(
            directory, experiment, widths, replace=bool(values["replace"].value)
        )
        _print(str(made))
        say(
            f"Written to {directory.path / FORECAST}. Next: train the target, then transfer report "
            f"--run={directory}."
        )
        return 0
    made, registered = known
    say(f"Registered on {registered}:")
    _print(str(made))
    runs = [directory]
    if values["target"].value:
        runs = [RunDirectory(values["target"].value)]
        runs[0].require_trials()
    judged = judge_forecast(made, [trial for run in runs for trial in run.trials()])
    for each in judged:
        if each.loss is not None or each.note:
            say(str(each))
    return 0


def _print(text: str) -> None:
    from transfer.cli.console import say

    for line in text.splitlines():
        say(line)


def _widths(texts: Sequence[str]) -> tuple[int, ...]:
    if wrong := [text for text in texts if not text.isdigit() or int(text) < 1]:
        raise TransferError(
            f"--width is {','.join(texts)}, where {wrong[0]} is no width; expected whole numbers "
            "of at least 1, such as 256,512."
        )
    return tuple(sorted({int(text) for text in texts}))
