"""A sweep of five widths whose losses lie on a known law, as a run directory nobody trained."""

import dataclasses
import json
import pathlib

from transfer.config import read
from transfer.run_directory import RunDirectory, TrialResult
from transfer.training import run_size

WIDTHS = (16, 24, 32, 48, 64)
EXPERIMENT = read(
    {
        "base_width": 16,
        "model": {"width": 96, "head_dim": 8, "layers": 1},
        "training": {"steps": 10, "warmup": 2},
        "sweep": {
            "widths": WIDTHS,
            "recipes": ("mup+sqrt",),
            "seeds": (0, 1),
            "space": {"learning_rate": (2.0**-6, 2.0**-5, 2.0**-4)},
        },
    }
)


def trials(width):
    parameters, flops = run_size(EXPERIMENT.group(width))
    names = {field.name: field.type for field in dataclasses.fields(TrialResult)}
    plain = {name: {str: "", int: 1, float: 1.0}.get(kind, "") for name, kind in names.items()}
    return [
        TrialResult(
            **plain
            | {
                "trial": f"{width} {rate} {seed}",
                "origin": "sweep",
                "width": width,
                "recipe": "mup+sqrt",
                "learning_rate": 2.0**rate,
                "seed": seed,
                "steps": 10,
                "parameters": parameters,
                "flops": flops,
                "status": "completed",
                "objective": "eval_loss",
                "noise_scale": None,
                "eval_loss": 1.5 + 30 * parameters**-0.35 + 0.02 * (rate + 5) ** 2 + 0.004 * seed,
            }
        )
        for rate in (-6, -5, -4)
        for seed in (0, 1)
    ]


def write(folder: pathlib.Path) -> RunDirectory:
    """Write the run directory of the sweep."""
    run = RunDirectory(folder)
    run.write_config({"experiment": json.loads(json.dumps(dataclasses.asdict(EXPERIMENT)))})
    for width in WIDTHS:
        run.add_group(f"width-{width}", trials(width), [], [])
    return run
