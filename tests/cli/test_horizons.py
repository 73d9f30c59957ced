"""`--horizon` and `--kind`: reports and predictions on what was read off trunks."""

import dataclasses
import json
import math

import pytest
from sweeps.small import row

from transfer.config import read
from transfer.run_directory import RunDirectory
from transfer.sweeps import declared_groups

from .terminal import transfer

EXPERIMENT = {
    "base_width": 8,
    "model": {"width": 32, "layers": 1, "head_dim": 8},
    "training": {
        "steps": 20,
        "warmup": 2,
        "schedule": "constant",
        "horizons": [10, 20],
        "branch_steps": 4,
    },
    "sweep": {
        "widths": [8, 16],
        "recipes": ["mup+sqrt"],
        "seeds": [0, 1],
        "space": {"learning_rate": [2.0**n for n in range(-8, -2)]},
    },
}
BOTTOMS = {"": -5.0, "average": -6.0, "branch": -4.5}


@pytest.fixture(scope="module")
def trunks(tmp_path_factory):
    """Trunks of 20 steps, whose averages and branches at 10 steps are best elsewhere."""
    run = RunDirectory(tmp_path_factory.mktemp("horizons") / "trunks")
    experiment = read(EXPERIMENT)
    run.write_config({"kind": "sweep", "experiment": dataclasses.asdict(experiment)})
    for group in declared_groups(experiment):
        rows = []
        for spec in group.trials:
            x = math.log2(spec.hyperparameters.learning_rate)
            for kind, bottom in BOTTOMS.items():
                loss = 3.0 + 0.1 * (x - bottom) ** 2 + 1e-3 * spec.seed * x
                own = row(group, spec, loss)
                read_off = {"trunk": own.trial, "trial": f"{own.trial} {kind}", "steps": 10}
                rows.append(dataclasses.replace(own, **read_off, origin=kind) if kind else own)
        run.add_group(group.name, rows, [], [])
    return run


@pytest.mark.parametrize(
    ("flags", "kind", "schedule"),
    [
        ((), "", "constant"),
        (("--horizon=10", "--kind=average"), "average", "constant"),
        (("--horizon=10",), "branch", "wsd"),  # where there are branches
    ],
)
def test_a_prediction_goes_by_its_horizon(trunks, flags, kind, schedule):
    assert transfer("predict", f"--run={trunks}", "--width=32", *flags) == 0
    written = json.loads((trunks.path / "hyperparameters.json").read_text())
    rate = math.log2(written["learning_rate"])
    # A bowl that is symmetric is off by a twentieth of an octave, since others are steeper above.
    assert rate == pytest.approx(BOTTOMS[kind], abs=0.06)
    training = written["tuned_for"]["experiment"]["training"]
    assert (training["schedule"], training["steps"]) == (schedule, 10 if kind else 20)


def test_a_report_says_what_is_best_at_each_horizon(trunks, capsys):
    assert transfer("report", f"--run={trunks}") == 0
    said = capsys.readouterr().out
    for width in (8, 16):
        for kind in ("average", "branch"):
            assert f"mup+sqrt at width {width}, {kind}: best learning rate" in said
    assert transfer("report", f"--run={trunks}", "--horizon=10", "--kind=average") == 0
    assert f"{trunks}/report/average-10/verdict.json" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        (("--horizon=15",), ("average at 15 steps", "branch at 10 steps")),
        (("--kind=branch",), ("--kind", "--horizon")),
        (("--horizon=10", "--kind=brunch"), ("brunch", "branch")),
        (("--horizon=10", "--decay=measured"), ("--decay", "--horizon")),
    ],
)
def test_a_horizon_that_is_not_there_is_refused(refused, trunks, flags, names):
    refused("predict", f"--run={trunks}", "--width=32", *flags, names=names)
