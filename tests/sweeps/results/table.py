"""Results of a sweep whose best learning rate is 2^-6 at every width, as others store them."""

import csv
import io
import json
import math
import pathlib

WIDTHS, RATES, SEEDS = (64, 128, 256), range(-10, -2), (0, 1, 2)
_NOISE = (0.0, 0.004, -0.003)


def loss_at(width: int, rate: int, seed: int) -> float:
    off = rate + 6
    return 3 - 0.1 * math.log2(width / 64) + 0.02 * off**2 + _NOISE[seed] * (1 + 0.1 * off)


ROWS = [
    {"width": width, "lr": 2.0**rate, "seed": seed, "val_loss": loss_at(width, rate, seed)}
    for width in WIDTHS
    for rate in RATES
    for seed in SEEDS
]


def as_csv(rows: list[dict]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_csv(path: pathlib.Path, rows: list[dict] = ROWS) -> pathlib.Path:
    path.write_text(as_csv(rows))
    return path


def write_lines(path: pathlib.Path, rows: list[dict] = ROWS) -> pathlib.Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


# As `mlflow.search_runs().to_csv()` and `wandb.Api` write them.
MLFLOW = [
    {
        "run_id": f"{place:032x}",
        "experiment_id": "0",
        "status": "FINISHED",
        "start_time": "2025-01-01 00:00:00+00:00",
        "metrics.val_loss": row["val_loss"],
        "params.lr": str(row["lr"]),
        "params.width": str(row["width"]),
        "params.seed": str(row["seed"]),
        "tags.mlflow.source.name": "train.py",
    }
    for place, row in enumerate(ROWS)
]
WANDB_PAGE = [
    {
        "Name": f"run-{place}",
        "State": "finished",
        "Runtime": "120",
        "d_model": row["width"],
        "lr": row["lr"],
        "seed": row["seed"],
        "val/loss": row["val_loss"],
    }
    for place, row in enumerate(ROWS)
]
WANDB_API = [
    {
        "summary": repr({"_step": 100, "val": {"loss": row["val_loss"]}, "grad": math.nan}),
        "config": repr({"width": row["width"], "lr": row["lr"], "seed": row["seed"]}),
        "name": f"run-{place}",
    }
    for place, row in enumerate(ROWS)
]
