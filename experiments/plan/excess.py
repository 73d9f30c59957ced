"""What compiled programs compute and move beyond what they have to.

`python -m experiments.plan.excess` writes `excess.parquet`, one row per program, beside this file
and prints the tables of the README. Needs libtpu, and no TPU: a quarter of an hour on one core.
Stopped, it resumes from the rows in `runs/plan`, which has to be removed for everything to be
compiled again, as after a change of code.
"""

import itertools
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import track

from experiments.plan import run
from experiments.plan.programs import Asked
from transfer.cli import platform
from transfer.plan import make_plan
from transfer.tpu import Topology

TABLE = pathlib.Path(__file__).parent / "excess.parquet"
Row = Mapping[str, Any]

# The most that a program may compute for each FLOP of the model, by whether layers are computed
# again.
GOALS = {"": 1.05, "full": 1.30}
# By width: layers, tokens in a sequence, sequences on a chip.
SHAPES = {1024: (8, 1024, 16), 2048: (8, 2048, 8), 4096: (4, 2048, 4)}
# One chip; and four, over which parameters and batch are sharded.
SLICES = {"v6e:1x1": 1, "v5p:2x2x1": 4}


def asked() -> Iterator[Asked]:
    """All programs; the last has long sequences for its width."""
    for (topology, chips), (width, shape), remat in itertools.product(
        SLICES.items(), SHAPES.items(), GOALS
    ):
        yield _decoder(topology, chips, width, *shape, remat)
    yield _decoder("v6e:1x1", 1, 1024, 8, 2048, 8, "")


def _decoder(
    topology: str, chips: int, width: int, layers: int, time: int, batch: int, remat: str
) -> Asked:
    settings = {
        "base_width": 128,
        "model.width": width,
        "model.layers": layers,
        "model.head_dim": 128,
        "model.vocabulary": 32768,
        "model.remat": remat,
        "data.sequence_length": time,
        "data.batch_size": chips * batch,
        "mesh.fsdp": chips,
    }
    return Asked("excess", topology, 1, settings)


def planned(program: Asked) -> dict[str, Any]:
    """The row of one program, of one chip."""
    plan = make_plan(program.group, Topology.parse(program.topology))
    return {
        "topology": program.topology,
        "width": plan.width,
        "layers": program.settings["model.layers"],
        "sequence_length": program.settings["data.sequence_length"],
        "batch_size": plan.batch_size,
        "remat": program.settings["model.remat"],
        "model_flops": plan.own_flops,
        "compiled_flops": plan.compiled_flops,
        "least_state": plan.least.state,
        "least_gradients": plan.least.gradients,
        "least_activations": plan.least.activations,
        "bytes_moved": plan.bytes,
        "bytes_peak": float(plan.memory.peak),
        "seconds_products": plan.estimate.products,
        "seconds_traffic": plan.estimate.traffic,
        "seconds_exchange": plan.estimate.exchange,
        "seconds_moved": plan.estimate.moved,
        "bound": plan.estimate.bound,
        "utilisation": plan.estimate.utilisation,
        "origins": list(plan.origins),
        "bytes_origins": list(plan.origins.values()),
    }


def ratio(row: Row) -> float:
    """Compiled FLOPs over the model's."""
    return row["compiled_flops"] / row["model_flops"]


def least(row: Row) -> float:
    """The bytes that a step moves at least."""
    return row["least_state"] + row["least_gradients"] + row["least_activations"]


def summary(table: Sequence[Row]) -> str:
    """Return both tables of the README, as Markdown."""
    titles = ("a chip of", "width", "sequence", "remat", "FLOPs / the model's", "goal",
              "least GB", "state, gradients, activations", "GB moved", "products", "least traffic",
              "exchange", "moved", "limited by", "GiB at once")  # fmt: skip
    lines = [
        (
            row["topology"],
            row["width"],
            row["sequence_length"],
            row["remat"] or "elementwise",
            f"{ratio(row):.3f}",
            f"{GOALS[row['remat']]:.2f}",
            f"{least(row) / 1e9:.1f}",
            ", ".join(
                f"{row[f'least_{part}'] / 1e9:.1f}"
                for part in ("state", "gradients", "activations")
            ),
            f"{row['bytes_moved'] / 1e9:.0f}",
            *(
                f"{1e3 * row[f'seconds_{part}']:.1f} ms"
                for part in ("products", "traffic", "exchange", "moved")
            ),
            row["bound"],
            f"{row['bytes_peak'] / 2**30:.1f}",
        )
        for row in table
    ]
    movers = [
        (
            row["topology"],
            row["width"],
            row["remat"] or "elementwise",
            "; ".join(
                f"{name} {size / 1e9:.1f}"
                for name, size in zip(row["origins"], row["bytes_origins"], strict=True)
            ),
        )
        for row in table
    ]
    most = ("a chip of", "width", "remat", "GB moved by function, the most")
    return "\n\n".join([_table(titles, lines), _table(most, movers)])


def _table(titles: Sequence[Any], rows: Sequence[Sequence[Any]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def main() -> None:
    """Compile everything, write the table, print the summary."""
    table = [run.kept(program, planned) for program in track(list(asked()), description="programs")]
    pq.write_table(pa.Table.from_pylist(table), TABLE)
    print(summary(table))


if __name__ == "__main__":
    platform.prepare()
    main()
