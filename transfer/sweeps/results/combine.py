"""Tables of results and run directories, combined into one run directory to be judged."""

import collections
import dataclasses
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from etils import epath

from transfer.errors import TransferError
from transfer.run_directory import RunDirectory, TrialResult
from transfer.sweeps.provenance import provenance
from transfer.sweeps.results.table import read_results
from transfer.user_paths import user_path

KIND = "results"
"""What config.json calls a run directory that holds results of other runs and trains nothing."""

# What may differ between the configurations of runs that are combined.
_BESIDE = ("name", "seed", "mesh", "sweep")
_MEASURED = ("metrics", "spectrum", "gains")


@dataclasses.dataclass(frozen=True)
class _Part:
    """What one source gives.

    Fields:
      described: for config.json.
      trials: all of them.
      note: how they were read, in a sentence.
      run: the run directory that the source is, if it is one.
    """

    described: Mapping[str, Any]
    trials: Sequence[TrialResult]
    note: str
    run: RunDirectory | None = None


def combine(
    run: RunDirectory,
    sources: Sequence[epath.PathLike],
    columns: Mapping[str, str] | None = None,
) -> list[str]:
    """Write the trials of tables and of other run directories into a run directory.

    Combining again replaces what the directory held. Runs of one configuration but for its sweep,
    name and seed keep it, so that verbs which need a model work on what they give together.

    Arguments:
      run: new, or made by an earlier call.
      sources: paths of tables (`read_results`) and of run directories.
      columns: the tables' own names of columns, see `trials`.

    Returns:
      A sentence for each source, which says how it was read.

    Raises:
      TransferError: a source cannot be read, is the directory itself, holds trials that another one
        holds otherwise, or was trained on other data; all widths are the same; or the directory
        belongs to a sweep or a training run. Nothing is written then.

    Example:
      >>> combine(RunDirectory("runs/torch"), ["results.csv"])  # doctest: +SKIP
      ['results.csv: 36 runs; read width from d_model, learning_rate from lr.']
    """
    if not sources:
        raise TransferError("No table was given; expected paths of tables or run directories.")
    _require_own(run)
    parts = [_part(run, user_path(source, "table"), columns) for source in sources]
    trials = _together(parts)
    widths = sorted({trial.width for trial in trials})
    if len(widths) < 2:
        raise TransferError(
            f"All {len(trials)} runs of {', '.join(map(str, sources))} are of width {widths[0]}; "
            "expected two widths at least, since transfer is over width: add runs of another one."
        )
    runs = [part.run for part in parts if part.run is not None]
    content: dict[str, Any] = {
        "kind": KIND,
        "sources": [part.described for part in parts],
        "data_fingerprint": _fingerprint(runs),
        "provenance": provenance(),
    }
    experiment = _experiment(runs) if len(runs) == len(parts) else None
    if experiment is not None:
        content["experiment"] = experiment
    names = {trial.trial for trial in trials}
    measured = {name: _rows([getattr(each, name)() for each in runs], names) for name in _MEASURED}
    with run.exclusive():
        run.write_config(content)
        run.replace(trials, **measured)
    return [part.note for part in parts]


def _require_own(run: RunDirectory) -> None:
    """Raise `TransferError` for a directory that holds what is not to be replaced."""
    if run.path.exists() and not run.path.is_dir():
        raise TransferError(
            f"{run} is a file; expected a directory, new or made from tables before: choose "
            "another --run."
        )
    known = run.config()
    if known is not None and known.get("kind") != KIND:
        raise TransferError(
            f"The run directory {run} belongs to a {known.get('kind')}, whose trials are not to be "
            "replaced; expected a new directory for the results: choose another --run."
        )
    files = run.path.iterdir() if known is None and run.path.exists() else ()
    if any(not file.name.startswith(".") for file in files):
        raise TransferError(
            f"The directory {run} holds files but no config.json, so it is no run directory; "
            "expected a new directory for the results: choose another --run."
        )


def _part(run: RunDirectory, path: epath.Path, columns: Mapping[str, str] | None) -> _Part:
    if not path.is_dir():
        found = read_results(path, columns)
        described = {
            "table": str(path),
            "rows": len(found.trials),
            "columns": dict(found.columns),
            "sha256": found.digest,
        }
        return _Part(described, found.trials, " ".join(found.notes))
    if path.resolve() == run.path.resolve():
        raise TransferError(
            f"{path} is both a source and the --run that it goes into; expected a new directory "
            "for what is combined: choose another --run."
        )
    source = RunDirectory(path)
    trials = source.require_trials()
    described = {"run": str(path), "rows": len(trials), "config": source.config() or {}}
    return _Part(described, trials, f"{path}: {len(trials)} trials of a run.", source)


def _together(parts: Sequence[_Part]) -> list[TrialResult]:
    """All trials, each once. Runs of tables that share a name are told apart by their table."""
    times = collections.Counter(
        name for part in parts for name in {trial.trial for trial in part.trials}
    )
    found: dict[str, TrialResult] = {}
    for part in parts:
        for trial in part.trials:
            name = trial.trial
            if part.run is None and times[name] > 1:
                name = f"{part.described['table']} {name}"
            trial = dataclasses.replace(trial, trial=name)
            # By their text, because NaN does not equal itself.
            if repr(found.setdefault(name, trial)) != repr(trial):
                raise TransferError(
                    f"The trial {name} is in two of the runs with other results; expected each "
                    "once, or the same in both: combine only one of them."
                )
    return list(found.values())


def _fingerprint(runs: Iterable[RunDirectory]) -> str:
    known = {
        str(found): run for run in runs if (found := (run.config() or {}).get("data_fingerprint"))
    }
    if len(known) > 1:
        (one, first), (other, second), *_ = known.items()
        raise TransferError(
            f"{first} and {second} were trained on different data (fingerprints {one[:12]} and "
            f"{other[:12]}), so their losses do not compare; expected runs on the same data."
        )
    return next(iter(known), "")


def _experiment(runs: Sequence[RunDirectory]) -> dict[str, Any] | None:
    """The configuration of all runs, with a sweep over all that they swept; None if they differ."""
    known = [(run.config() or {}).get("experiment") or {} for run in runs]
    if not all(known) or len({_compared(each) for each in known}) > 1:
        return None
    merged = dict(json.loads(json.dumps(known[0])))
    for name in ("widths", "recipes", "seeds"):
        values = itertools.chain.from_iterable(each["sweep"][name] for each in known)
        merged["sweep"][name] = list(dict.fromkeys(values))
    merged["sweep"]["widths"].sort()
    merged["model"]["width"] = max(each["model"]["width"] for each in known)
    return merged


def _compared(experiment: Mapping[str, Any]) -> str:
    kept = {name: value for name, value in experiment.items() if name not in _BESIDE}
    kept["model"] = {name: value for name, value in kept["model"].items() if name != "width"}
    return json.dumps([kept, experiment["sweep"]["objective"]], sort_keys=True)


def _rows(tables: Sequence[pa.Table], trials: set[str]) -> list[dict[str, Any]]:
    """The rows of all tables, those of a trial that is in several only once."""
    rows: list[dict[str, Any]] = []
    seen: set[str] = set()
    for table in tables:
        new = [row for row in table.to_pylist() if row["trial"] not in seen]
        seen |= {row["trial"] for row in new}
        rows += [row for row in new if row["trial"] in trials]
    return rows
