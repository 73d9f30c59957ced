"""Dense tables of losses over learning rate, decay and width.

`python -m experiments.adaptive_search.tables` trains into `runs/adaptive_search`, where the same
command resumes, and writes `dense.parquet`, a row per trial of every network
that is trained at four widths or more. Networks that are named, and `--widths`, train alone.
"""

import argparse
import dataclasses
import pathlib
from collections.abc import Callable

import pyarrow.parquet as pq

from experiments.sublayers import write_rows
from transfer.cli import platform
from transfer.cli.console import SweepProgress
from transfer.config import Experiment, read, template
from transfer.run_directory import RunDirectory, TrialResult
from transfer.sweeps import LocalLauncher, declared_groups, train_groups
from transfer.termination import listening
from transfer.training import TrialGroup

HERE = pathlib.Path(__file__).parent
TABLE = HERE / "dense.parquet"
COLUMNS = ("network", "width", "learning_rate", "weight_decay", "seed", "status", "objective_value")


def transformer() -> Experiment:
    """A decoder of two layers on the standard library's source; held-out loss."""
    config = template()
    config.name = "adaptive search, transformer"
    config.base_width = 8
    config.model.layers = 2
    config.model.head_dim = 8
    config.data.sequence_length = 32
    config.data.batch_size = 16
    config.training.steps = 400
    config.sweep.space.learning_rate = tuple(2.0**k for k in range(-8, -1))
    config.sweep.space.weight_decay = tuple(2.0**k for k in range(-5, 1))
    config.sweep.widths = (8, 16, 24, 32)
    return _read(config)


def resnet() -> Experiment:
    """A residual network on digits; training loss over the last tenth, under augmentation."""
    config = template("resnet", "images")
    config.name = "adaptive search, ResNet"
    config.base_width = 8
    config.model.stages = (1, 1)
    config.model.image_channels = 1
    config.data.batch_size = 16
    config.data.crop_padding = 2
    config.training.steps = 200
    config.training.clip = 0.0
    config.sweep.objective = "loss"
    config.sweep.space.learning_rate = tuple(2.0**k for k in range(-8, -1))
    config.sweep.space.weight_decay = tuple(2.0**k for k in range(-3, 3))
    config.sweep.widths = (8, 16, 24, 32)
    return _read(config)


def _read(config) -> Experiment:  # type: ignore[no-untyped-def]
    """What both networks share: seeds, recipe and the readout that does better."""
    config.model.width = max(config.sweep.widths)
    config.model.dtype = "float32"
    config.hyperparameters.readout_output = 4.0
    config.training.warmup = 20
    config.training.log_every = 40
    config.training.spectrum_every = 0
    config.sweep.recipes = ("mup+sqrt",)
    config.sweep.seeds = (0, 1, 2)
    return read(config)


LEAST_WIDTHS = 4
NETWORKS: dict[str, Callable[[], Experiment]] = {"transformer": transformer, "resnet": resnet}


def directory(network: str, width: int) -> RunDirectory:
    """Where a network is trained at a width, so that widths may be trained side by side."""
    return RunDirectory(f"runs/adaptive_search/{network}/{width}")


def groups(experiment: Experiment, width: int) -> list[TrialGroup]:
    """A group per seed, so that little is lost when the command is stopped."""
    return [
        dataclasses.replace(
            group, trials=tuple(trial for trial in group.trials if trial.seed == seed)
        )
        for group in declared_groups(experiment)
        if group.shape.width == width
        for seed in experiment.sweep.seeds
    ]


def rows() -> list[dict[str, object]]:
    """The trials at all widths that are trained whole, of networks with at least four of them."""
    found = []
    for network, make in NETWORKS.items():
        experiment = make()
        whole = [trials for width in experiment.sweep.widths if (trials := _whole(network, width))]
        if len(whole) >= LEAST_WIDTHS:
            found += [
                {
                    "network": network,
                    "objective_value": trial.objective_value,
                    **{name: getattr(trial, name) for name in COLUMNS[1:-1]},
                }
                for trials in whole
                for trial in trials
            ]
    return found


def _whole(network: str, width: int) -> list[TrialResult]:
    """The trials of a network at a width, none unless all are there."""
    trials = directory(network, width).trials()
    wanted = sum(len(group.trials) for group in groups(NETWORKS[network](), width))
    return trials if len(trials) == wanted else []


def main() -> None:
    """Train what is missing, and write the table once all is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), metavar="NETWORK")
    parser.add_argument("--widths", nargs="*", type=int, help="of each network's own")
    asked = parser.parse_args()
    with listening() as asked_to_stop, SweepProgress() as progress:
        launcher = LocalLauncher(asked_to_stop)
        for network in asked.networks:
            experiment = NETWORKS[network]()
            for width in asked.widths or experiment.sweep.widths:
                run = directory(network, width)
                train_groups(
                    experiment, run, groups(experiment, width), progress, launcher=launcher
                )
    if found := rows():
        mine = {row["network"] for row in found}
        earlier = pq.read_table(TABLE).to_pylist() if TABLE.exists() else []
        write_rows([row for row in earlier if row["network"] not in mine] + found, COLUMNS, TABLE)


if __name__ == "__main__":
    platform.prepare()
    main()
