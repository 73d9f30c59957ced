"""The flags that verbs share, and what they stand for."""

import typing
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from transfer.errors import TransferError

if typing.TYPE_CHECKING:
    from transfer.config import Experiment
    from transfer.runs import RunDirectory


def define_config(values: flags.FlagValues, default: str | None = None) -> None:
    """--config=FILE.py and its overrides --config.section.key=value."""
    from ml_collections import config_flags

    config_flags.DEFINE_config_file(
        "config",
        default,
        "a config file, such as configs/transformer.py; --config.section.key=value overrides it",
        flag_values=values,
    )


def define_run(values: flags.FlagValues, default: str | None = None) -> None:
    """--run=DIR."""
    flags.DEFINE_string("run", default, "the run directory", flag_values=values)


def require_config_keys(arguments: Sequence[str]) -> None:
    """Raise `TransferError` for an override of a setting that does not exist."""
    prefix = "--config."
    overrides = [argument for argument in arguments if argument.startswith(prefix)]
    if overrides:
        from transfer.config import require_key

        for argument in overrides:
            require_key(argument.removeprefix(prefix).partition("=")[0])


def experiment(values: flags.FlagValues) -> "Experiment":
    """Return the experiment that the flags describe, or say what is missing."""
    from ml_collections import config_flags

    from transfer.config import read

    config = values["config"].value
    if config is None:
        raise TransferError(
            "No configuration was given; expected --config=FILE.py, such as "
            "--config=configs/transformer.py."
        )
    try:
        content = config.to_dict()
    except OSError:
        file = config_flags.get_config_filename(values["config"])
        raise TransferError(
            f"The config file {file} cannot be read; expected a Python "
            "file with a get_config function, such as configs/transformer.py."
        ) from None
    return read(content)


def run_directory(values: flags.FlagValues) -> "RunDirectory":
    """Return the run directory that the flags name, or say that it is missing."""
    from transfer.runs import RunDirectory

    if not values["run"].value:
        raise TransferError("No run directory was given; expected --run=DIR.")
    return RunDirectory(values["run"].value)


def recorded_experiment(run: "RunDirectory") -> "Experiment":
    """Return the experiment that a run directory was made with."""
    from transfer.config import read

    content = run.read_json("config.json")
    if content is None or "experiment" not in content:
        raise TransferError(
            f"{run} is no run directory, it has no config.json; expected the --run of an earlier "
            "transfer sweep or transfer train."
        )
    return read(content["experiment"])


def config_file(name: str) -> str:
    """Path of a config file that ships with the package, installed or in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "configs", package.parent / "configs"):
        if (folder / f"{name}.py").exists():
            return str(folder / f"{name}.py")
    raise TransferError(f"The config {name}.py was not found beside the package {package}.")


def recorded_origin(run: "RunDirectory") -> tuple[str, dict[str, object]]:
    """Return what a run directory was made for, in words, and its provenance."""
    experiment = recorded_experiment(run)
    data, model = experiment.data, experiment.model
    task = (
        f"{experiment.name}: next token on {data.name} ({data.tokenizer}), {model.layers} layers, "
        f"sequences of {data.sequence_length} in batches of {data.batch_size}"
    )
    content = run.read_json("config.json") or {}
    return task, {
        "data_fingerprint": content.get("data_fingerprint"),
        **content.get("provenance", {}),
    }


def require_success(failures: Sequence[str]) -> None:
    """Raise `TransferError` if any group of a sweep failed."""
    if failures:
        raise TransferError(f"{'; '.join(failures)}. The same command tries again.")
