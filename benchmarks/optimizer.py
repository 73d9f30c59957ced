"""AdamW with a recipe against optax's own, on the same parameters."""

import jax
import optax

from benchmarks.options import Options
from benchmarks.results import Part
from benchmarks.side_by_side import compare
from transfer import optim
from transfer.models import TransformerConfig, initialize, model_layout
from transfer.scaling import Hyperparameters, Recipe

UPDATES = 50


def measure(part: Part, options: Options) -> None:
    model = TransformerConfig(width=128, layers=3)
    layout, recipe = model_layout(model, 16), Recipe("mup")
    parameters, _ = initialize(
        model, layout, recipe, Hyperparameters(learning_rate=1.0), jax.random.key(0)
    )
    ours = optim.adamw(0.01, 0.1, layout=layout.parameters, recipe=recipe)
    plain = optax.adamw(0.01, b2=0.95, weight_decay=0.1)
    case = "AdamW with a recipe / optax.adamw"
    compare(part, case, _run(ours, parameters), _run(plain, parameters), options)


def _run(optimizer: optax.GradientTransformation, parameters):
    @jax.jit
    def run(parameters):
        def step(_, carry):
            parameters, state = carry
            updates, state = optimizer.update(parameters, state, parameters)
            return optax.apply_updates(parameters, updates), state

        return jax.lax.fori_loop(0, UPDATES, step, (parameters, optimizer.init(parameters)))

    return lambda: run(parameters)
