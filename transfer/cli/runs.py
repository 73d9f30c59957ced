"""Lists the run directories below a folder, with what each trained, its state and verdict.

transfer runs FOLDER; without a folder it looks through runs.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from absl import flags as absl_flags
from etils import epath

from transfer.errors import TransferError
from transfer.notation import ANSWERS

if TYPE_CHECKING:
    from transfer.run_directory import RunDirectory

# `transfer runs FOLDER` is short for `transfer runs --folder=FOLDER`.
POSITIONAL = ("folder",)


def define(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Define the verb's flags."""
    absl_flags.DEFINE_string("folder", "runs", "the folder to look through", flag_values=values)


def run(values: absl_flags.FlagValues) -> int:
    """Print a row per run."""
    from transfer.cli.console import console, say
    from transfer.report.tables import Table
    from transfer.user_paths import user_path

    folder = user_path(values["folder"].value, "folder")
    if not folder.is_dir():
        raise TransferError(f"There is no folder {folder}; expected one with run directories.")
    rows = [_row(each, folder) for each in _below(folder)]
    if not rows:
        say(f"No run directory lies below {folder}: none holds a config.json.")
        return 0
    console.print(Table(("run", "experiment", "trials", "state", "verdict"), rows, words=5).rich())
    return 0


def _below(folder: epath.Path) -> Iterator["RunDirectory"]:
    """The run directories in a folder, in alphabetical order; nothing inside one is another."""
    from transfer.run_directory import RunDirectory

    if (folder / "config.json").exists():
        yield RunDirectory(folder)
        return
    for each in sorted(folder.iterdir()):
        if not each.name.startswith(".") and each.is_dir():
            yield from _below(each)


def _row(run: "RunDirectory", folder: epath.Path) -> tuple[str, ...]:
    name = str(run.path.relative_to(folder)) if run.path != folder else str(folder)
    try:
        experiment = (run.config() or {}).get("experiment", {})
        trials = run.trials()
        verdict = run.read_json("report/verdict.json") or {}
    except TransferError as error:
        return name, "-", "-", f"cannot be read: {error}", "-"
    gone = sum(trial.status == "diverged" for trial in trials)
    answers = {
        recipe: ANSWERS.get(str(judged.get("transfers")), "-")
        for recipe, judged in verdict.get("recipes", {}).items()
    }
    return (
        name,
        str(experiment.get("name", "-")),
        f"{len(trials)}" + (f", {gone} diverged" if gone else ""),
        _state(run, len(trials)),
        "; ".join(f"{recipe} {answer}" for recipe, answer in answers.items()) or "-",
    )


def _state(run: "RunDirectory", trials: int) -> str:
    if owner := run.writer:
        return f"training ({owner})"
    if run.checkpoints.exists() and any(run.checkpoints.iterdir()) and not trials:
        return "stopped: the same command goes on"
    return "idle" if trials else "nothing trained yet"
