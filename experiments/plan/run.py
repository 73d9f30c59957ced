"""What compiled programs say, and what they take to compile: `python -m experiments.plan.run`.

Writes `programs.parquet`, one row per program, `compile.png` and `verdict.json` beside this file,
and prints the tables of the README. Needs libtpu, and no TPU. Stopped, it goes on from the rows in
`runs/plan`, which has to be removed for everything to be compiled again, as after a change of code.
"""

import dataclasses
import hashlib
import json
import pathlib
import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import track

from experiments.plan.figure import compile_figure
from experiments.plan.judge import judge
from experiments.plan.programs import Asked, asked
from experiments.plan.summary import summary
from transfer.atomic import atomic_write
from transfer.cli import platform
from transfer.plan import make_plan
from transfer.report.style import to_png
from transfer.tpu import Topology

HERE = pathlib.Path(__file__).parent
TABLE = HERE / "programs.parquet"
KEPT = pathlib.Path("runs/plan")


def planned(program: Asked) -> dict[str, Any]:
    """The row of one program; `processor` is seconds of processor time to trace and compile it."""
    topology = Topology.parse(program.topology)
    group, _ = program.group, topology.devices
    started = time.process_time()
    plan = make_plan(group, topology)
    processor = time.process_time() - started
    sent = dict.fromkeys(plan.mesh, 0.0)
    for each in plan.exchanges:
        for axis in each.axes:
            sent[axis] += each.sent
    return {
        "part": program.part,
        "topology": program.topology,
        "mesh": " x ".join(f"{name} {size}" for name, size in plan.mesh.items() if size > 1),
        "width": plan.width,
        "layers": group.shape.layers,
        "trials": plan.trials,
        "execution": plan.execution,
        "parameters": plan.parameters,
        "bytes_parameters": plan.memory.parameters,
        "bytes_optimizer": plan.memory.optimizer,
        "bytes_inputs": plan.memory.inputs,
        "bytes_temporaries": float(plan.memory.temporaries),
        "bytes_code": float(plan.memory.code),
        "bytes_peak": float(plan.memory.peak),
        "bytes_limit": plan.memory.limit,
        "model_flops": plan.own_flops,
        "compiled_flops": plan.compiled_flops,
        "messages": sum(each.times for each in plan.exchanges),
        **{f"sent_{axis}": number for axis, number in sent.items()},
        "step": plan.estimate.step,
        "bound": plan.estimate.bound,
        "utilisation": plan.estimate.utilisation,
        "processor": processor,
    }


def digest(program: Asked) -> str:
    """Name a program by all that it is compiled from, but for the code."""
    group, asked = program.group, [program.part, program.topology]
    asked += [dataclasses.asdict(program.experiment), *map(group.trial_name, group.trials)]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]


def kept(program: Asked, plan: Callable[[Asked], dict[str, Any]]) -> dict[str, Any]:
    """The row that `plan` makes of a program, from where an earlier run has kept it."""
    file = KEPT / f"{digest(program)}.json"
    if not file.exists():
        row = json.dumps(plan(program))
        with atomic_write(file) as out:
            out.write(row.encode())
    return json.loads(file.read_text())


def main() -> None:
    """Compile everything, write the table, the figure and the verdict, print the summary."""
    table = [kept(program, planned) for program in track(list(asked()), description="programs")]
    pq.write_table(pa.Table.from_pylist(table), TABLE)
    verdict = judge(table)
    (HERE / "verdict.json").write_text(json.dumps(verdict, indent=1) + "\n")
    (HERE / "compile.png").write_bytes(to_png(compile_figure(table, verdict)))
    print(summary(table))


if __name__ == "__main__":
    platform.prepare()
    main()
