"""A real sweep by PyTorch and mup, in a table of its own, is judged as one of this library's."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_digits

from transfer.analysis import SweepVerdict
from transfer.cli.main import main

from . import table

torch = pytest.importorskip("torch")
mup = pytest.importorskip("mup")

pytestmark = pytest.mark.full  # 128 trainings

WIDTHS, RATES, SEEDS, STEPS, BATCH = (32, 64, 128, 256), range(-11, -3), (0, 1), 60, 64


def perceptron(width: int, recipe: str) -> "torch.nn.Module":
    readout = mup.MuReadout if recipe == "mup" else torch.nn.Linear
    layers = [torch.nn.Linear(64, width), torch.nn.ReLU(), torch.nn.Linear(width, width)]
    return torch.nn.Sequential(*layers, torch.nn.ReLU(), readout(width, 10))


def trained(width: int, rate: float, seed: int, recipe: str, digits) -> dict:
    """A row of the table: a perceptron under muP by mup, or as PyTorch makes it."""
    (images, labels), (held_out, held_out_labels) = digits
    torch.manual_seed(seed)
    model = perceptron(width, recipe)
    if recipe == "mup":
        mup.set_base_shapes(model, perceptron(16, recipe), delta=perceptron(32, recipe))
        for layer in (model[0], model[2]):
            mup.init.kaiming_uniform_(layer.weight, a=5**0.5)
        optimizer = mup.MuAdam(model.parameters(), lr=rate)
    else:
        optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    loss = torch.nn.CrossEntropyLoss()
    order = np.random.default_rng(seed)
    for _ in range(STEPS):
        rows = order.integers(0, len(images), BATCH)
        optimizer.zero_grad()
        loss(model(images[rows]), labels[rows]).backward()
        optimizer.step()
    with torch.no_grad():
        found = float(loss(model(held_out), held_out_labels))
    return {
        "parametrization": recipe,
        "width": width,
        "lr": rate,
        "seed": seed,
        "val_loss": found,
        "steps": STEPS,
        "tokens": STEPS * BATCH,
        "n_params": sum(each.numel() for each in model.parameters()),
    }


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    images, labels = load_digits(return_X_y=True)
    images = torch.tensor((images - images.mean()) / images.std(), dtype=torch.float32)
    labels = torch.tensor(labels)
    digits = (images[300:], labels[300:]), (images[:300], labels[:300])
    torch.set_num_threads(1)
    return [
        trained(width, 2.0**rate, seed, recipe, digits)
        for recipe in ("mup", "standard")
        for width in WIDTHS
        for rate in RATES
        for seed in SEEDS
    ]


def test_a_sweep_of_mup_is_judged_predicted_and_shown(tmp_path, rows):
    source = table.write_csv(tmp_path / "torch.csv", rows)
    run = tmp_path / "run"
    assert main(["transfer", "report", f"--table={source}", f"--run={run}"]) == 0
    verdict = SweepVerdict.from_json(json.loads((run / "report" / "verdict.json").read_text()))
    moves = {name: judged.slope.value for name, judged in verdict.recipes.items()}
    # In octaves of learning rate per octave of width, of which two seeds in 60 steps leave a few
    # tenths open: the verdict calls both undecided. Theory says 0 and -1.
    assert abs(moves["mup"]) < 0.5
    assert moves["standard"] < moves["mup"] - 0.1
    assert verdict.recipes["mup"].answer.transfers != "false"
    assert verdict.compute.tuning[0].ratio > 0
    flags = [f"--run={run}", "--width=1024", "--recipe=mup"]
    assert main(["transfer", "predict", *flags]) == 0
    prediction = json.loads((run / "hyperparameters.json").read_text())
    wide = [row for row in rows if (row["parametrization"], row["width"]) == ("mup", 256)]
    best = min(wide, key=lambda row: row["val_loss"])
    assert prediction["log2_learning_rate"] == pytest.approx(np.log2(best["lr"]), abs=1)
