"""Measures how sizes inside networks follow width: `python experiments/coordinate_check/run.py`.

Writes slopes.parquet, a row per size, and the figure beside this file. `--only=mlp` or
`--only=transformer` measures and replaces the rows of one model alone.
"""

import argparse
import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import optax
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import transfer
from transfer.checks import CoordinateCheck, ModelUnderTest, built_in_model, check_coordinates
from transfer.models import MLPConfig, TransformerConfig
from transfer.scaling import Hyperparameters, Layout, Recipe

HERE = Path(__file__).parent
TABLE = HERE / "slopes.parquet"
ONE = Hyperparameters(learning_rate=1.0)
BASE_WIDTH = 64
FAMILIES = {"AdamW": "entrywise", "SGD": "linear"}

# Recipe, and the exponent by which the one learning rate follows width.
FORMS = {
    "SP, constant learning rate": ("standard", 0.0),
    "SP, learning rate 1/n": ("standard", -1.0),
    "SP, per layer": ("standard/full", 0.0),
    "NTK, per layer": ("ntk/full", 0.0),
    "NTK, one learning rate": ("ntk", 0.0),
    "muP, Table 3": ("mup_table3", 0.0),
    "muP, Table 8": ("mup", 0.0),
    "muP, Table 9": ("mup_table9", 0.0),
    "muP, mean field": ("mean_field", 0.0),
}
MLP_WIDTHS = (64, 128, 256, 512, 1024)
# The output at init is one Gaussian number per seed here, whose slope needs many of them.
MLP_SEEDS = 64

TRANSFORMER = TransformerConfig(
    layers=2, vocabulary=64, head_dim=16, dtype="float32", attention="xla"
)
HEADS = {
    "fixed head dimension": TRANSFORMER,
    "growing head dimension": dataclasses.replace(TRANSFORMER, head_dim=0, heads=4),
}
TRANSFORMER_WIDTHS = (64, 128, 256, 512)
TRANSFORMER_SEEDS = 4


def mlps() -> Iterator[tuple[str, str, str, CoordinateCheck]]:
    """Check an MLP with 2 hidden layers and one output under every form, on one input."""
    inputs = jax.random.normal(jax.random.key(1), (1, 16))
    config = MLPConfig(layers=2, features=16, outputs=1, activation="gelu")
    for form, (recipe, exponent) in FORMS.items():
        for optimizer in FAMILIES:
            model = _model_under_test(config, recipe, inputs)
            check = check_coordinates(
                model,
                MLP_WIDTHS,
                make_optimizer=functools.partial(_optimizer, model.recipe, optimizer, exponent),
                family=FAMILIES[optimizer],
                learning_rate_exponent=exponent,
                seeds=MLP_SEEDS,
                steps=1,
            )
            yield "mlp", form, optimizer, check


def transformers() -> Iterator[tuple[str, str, str, CoordinateCheck]]:
    """Check the decoder under mup with random and with zero-initialised readout and queries."""
    tokens = jax.random.randint(jax.random.key(1), (2, 16), 0, TRANSFORMER.vocabulary)
    for heads, config in HEADS.items():
        for init, zero in (("random init", False), ("zero init", True)):
            zeroed = dataclasses.replace(config, zero_init_query=zero, zero_init_readout=zero)
            for optimizer in FAMILIES:
                check = check_coordinates(
                    _model_under_test(zeroed, "mup", tokens),
                    TRANSFORMER_WIDTHS,
                    family=FAMILIES[optimizer],
                    seeds=TRANSFORMER_SEEDS,
                )
                yield "transformer", f"{heads}, {init}", optimizer, check


def _optimizer(
    recipe: Recipe, optimizer: str, exponent: float, layout: Layout
) -> optax.GradientTransformation:
    growth = float(layout["layers.1.linear.kernel"].m_in)
    learning_rate = 2.0**-8 * growth**exponent
    if optimizer == "SGD":
        return transfer.sgd(learning_rate, layout=layout, recipe=recipe)
    # Epsilon would hide how the rest follows width.
    return transfer.adamw(learning_rate, layout=layout, recipe=recipe, eps=1e-20)


def _model_under_test(
    config: MLPConfig | TransformerConfig, recipe: str, inputs: jax.Array
) -> ModelUnderTest:
    return built_in_model(
        config,
        base_width=BASE_WIDTH,
        recipe=Recipe.parse(recipe),
        inputs=inputs,
        hyperparameters=ONE,
    )


def rows(model: str, form: str, optimizer: str, check: CoordinateCheck) -> list[dict[str, Any]]:
    """Return the rows of the table that a check gives; its sizes are by width."""
    return [
        {
            "model": model,
            "form": form,
            "optimizer": optimizer,
            "recipe": str(check.recipe),
            "quantity": row.quantity,
            "name": row.name,
            "step": row.step,
            "widths": list(row.sizes),
            "sizes": list(row.sizes.values()),
            "slope": row.slope,
            "low": row.interval and row.interval[0],
            "high": row.interval and row.interval[1],
            "predicted_low": row.predicted and row.predicted[0],
            "predicted_high": row.predicted and row.predicted[1],
            "verdict": row.verdict,
        }
        for row in check
    ]


def main() -> None:
    """Measure, print each check's findings, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("mlp", "transformer"))
    only = parser.parse_args().only
    # Compiling is nearly all the time that models this small take.
    jax.config.update("jax_disable_most_optimizations", True)
    found: list[dict[str, Any]] = []
    for name, measured in (("mlp", mlps), ("transformer", transformers)):
        if only in (None, name):
            for model, form, optimizer, check in measured():
                print(f"{model}, {form}, {optimizer}:", *check.findings or ["agrees"], flush=True)
                found += rows(model, form, optimizer, check)
    table = pa.Table.from_pylist(found)
    if only and TABLE.exists():
        kept = pq.read_table(TABLE)
        table = pa.concat_tables([kept.filter(pc.field("model") != only), table])
    pq.write_table(table, TABLE)


if __name__ == "__main__":
    main()
