"""The flags that verbs share, and what they stand for."""

import shlex
import typing
from collections.abc import Iterator, Mapping, Sequence

from absl import flags

from transfer.errors import TransferError
from transfer.notation import listed

if typing.TYPE_CHECKING:
    from transfer.config import Experiment
    from transfer.run_directory import ReadOff, RunDirectory


def shown(name: str, value: object) -> str:
    """Return a flag as it is to be typed: quoted where a shell would take its value apart.

    Example:
      >>> shown("run", "runs/a"), shown("run", "my runs/a")
      ('--run=runs/a', "--run='my runs/a'")
    """
    return f"--{name}={shlex.quote(str(value))}"


def wants_help(argv: Sequence[str]) -> bool:
    """Whether help is asked for rather than work."""
    return any(word in ("-h", "-help", "--help", "--helpfull") for word in argv)


def define_run(values: flags.FlagValues, default: str | None = None) -> None:
    """--run=DIR."""
    text = "the run directory" + (f" (default: {default})" if default else "")
    flags.DEFINE_string("run", default, text, flag_values=values)


def define_horizon(values: flags.FlagValues) -> None:
    """--horizon=STEPS and --kind=average|branch."""
    flags.DEFINE_integer(
        "horizon",
        None,
        "the horizon, in steps, at which trials were read off trunks (default: their own length)",
        flag_values=values,
    )
    flags.DEFINE_string(
        "kind",
        None,
        "average or branch: how they were read off (default: branch where there are branches)",
        flag_values=values,
    )


def horizon(values: flags.FlagValues, run: "RunDirectory") -> "ReadOff | None":
    """Return the horizon that the flags name, or None; trials read off there exist."""
    from transfer.run_directory import ReadOff, found_horizons

    steps, kind = values["horizon"].value, values["kind"].value
    if steps is None:
        if kind is not None:
            raise TransferError(
                f"--kind is {kind}, but no horizon was given; expected --horizon=STEPS too."
            )
        return None
    branches = ReadOff(steps, "branch") in found_horizons(run.rows())
    asked = ReadOff(steps, kind or ("branch" if branches else "average"))
    run.require_trials(asked)
    return asked


def define_compilation_cache(values: flags.FlagValues) -> None:
    """--compilation_cache=FOLDER|none."""
    flags.DEFINE_string(
        "compilation_cache",
        None,
        "folder where compiled programs are kept for later runs, or none (default: "
        "transfer/compiled in the user's cache folder)",
        flag_values=values,
    )


def experiment(values: flags.FlagValues) -> "Experiment":
    """Return the experiment that the flags describe, or say what is missing."""
    from transfer.config import read

    if values["config"].value is None:
        raise TransferError(
            "No configuration was given; expected --config=FILE.py, such as "
            "--config=configs/transformer.py."
        )
    return read(values["config"].value)


def run_directory(values: flags.FlagValues) -> "RunDirectory":
    """Return the run directory that the flags name, or say that it is missing."""
    from transfer.run_directory import RunDirectory

    if not values["run"].value:
        raise TransferError("No run directory was given; expected --run=DIR.")
    directory = RunDirectory(values["run"].value)
    if directory.path.exists() and not directory.path.is_dir():
        raise TransferError(f"--run={directory} is a file; expected a directory.")
    return directory


def holds_results(run: "RunDirectory") -> bool:
    """Whether a run directory holds results from elsewhere, and no experiment that made them."""
    from transfer.run_directory import RESULTS

    content = run.config() or {}
    return content.get("kind") == RESULTS and "experiment" not in content


def recorded_experiment(run: "RunDirectory") -> "Experiment":
    """Return the experiment that a run directory was made with."""
    from transfer.config import read

    content = run.config()
    if holds_results(run):
        raise TransferError(
            f"{run} holds results from elsewhere and no configuration of a model; expected the "
            "--run of an earlier transfer sweep or transfer train, because only transfer report "
            "and transfer predict do without one."
        )
    if content is None or "experiment" not in content:
        raise TransferError(
            f"{run} is no run directory, it has no config.json; expected the --run of an earlier "
            "transfer sweep or transfer train."
        )
    return read(content["experiment"])


def flat(section: Mapping[str, typing.Any], path: str = "") -> Iterator[tuple[str, typing.Any]]:
    """Yield every setting of a configuration by its path.

    Example:
      >>> dict(flat({"name": "run", "model": {"width": 8}}))
      {'name': 'run', 'model.width': 8}
    """
    for name, value in section.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def recorded_origin(run: "RunDirectory") -> tuple[str, dict[str, object]]:
    """Return what a run directory was made for, in words, and its provenance."""
    from transfer.training.task import task_of

    content = run.config() or {}
    if holds_results(run):
        task = f"results from {listed([_source(each) for each in content['sources']])}"
    else:
        experiment = recorded_experiment(run)
        task = (
            f"{experiment.name}: {task_of(experiment.data).name} on {experiment.data.description}, "
            f"{experiment.model.description}"
        )
    return task, {
        "data_fingerprint": recorded_fingerprint(run) or None,
        **content.get("provenance", {}),
    }


def _source(described: Mapping[str, object]) -> str:
    """Where results are from, and how many."""
    return f"{described.get('table') or described.get('run')} ({described['rows']} runs)"


def recorded_fingerprint(run: "RunDirectory") -> str:
    """Return the fingerprint of the data that a run directory was made from, empty if unknown."""
    return str((run.config() or {}).get("data_fingerprint") or "")
