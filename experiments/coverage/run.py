"""Coverage of intervals and errors of verdicts: `python -m experiments.coverage.run`.

Simulates the sweeps of `scenarios.py`, judges each as `transfer report` does, and writes
`coverage.parquet`, one row per sweep, beside this file; rows that are there already are kept, so
that a run that was interrupted goes on. Prints the tables of `docs/intervals.md`. Options:

  --processes=N  processes that share the work
  --anew         forget the rows of an earlier run, as after a change of the method
"""

import argparse
import concurrent.futures
import multiprocessing
import pathlib
import random
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import track

from experiments.coverage.committed import held_out_table
from experiments.coverage.measure import Row, measured
from experiments.coverage.scenarios import Scenario, scenarios
from experiments.coverage.summary import summary

HERE = pathlib.Path(__file__).parent
TABLE = HERE / "coverage.parquet"
KEYS = ("noise", "seeds", "widths", "rates", "spacing", "decays", "bowls", "repeat")


def missing(rows: Sequence[Row]) -> list[tuple[Scenario, int]]:
    """Return scenario and repeat of all sweeps that have no row."""
    known = {tuple(row[key] for key in KEYS) for row in rows}
    asked = [(each, repeat) for each in scenarios() for repeat in range(each.repeats)]
    return [
        (each, repeat)
        for each, repeat in asked
        if (*(getattr(each, key) for key in KEYS[:-1]), repeat) not in known
    ]


def main() -> None:
    """Simulate what is missing, write the table, print the summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--anew", action="store_true")
    flags = parser.parse_args()
    rows: list[Row] = []
    if TABLE.exists() and not flags.anew:
        rows = pq.read_table(TABLE).to_pylist()
    asked = missing(rows)
    # In any order, so that a run that is interrupted has some of everything.
    random.Random(0).shuffle(asked)
    batches = [asked[start : start + 32] for start in range(0, len(asked), 32)]
    spawned = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(flags.processes, mp_context=spawned) as pool:
        for batch in track(pool.map(_measured, batches), total=len(batches)):
            rows += batch
            pq.write_table(pa.Table.from_pylist(rows), TABLE, compression="zstd")
    print(summary(rows))
    print(f"\nHeld-out widths of committed sweeps:\n\n{held_out_table()}")


def _measured(batch: Sequence[tuple[Scenario, int]]) -> list[Row]:
    return [measured(*each) for each in batch]


if __name__ == "__main__":
    main()
