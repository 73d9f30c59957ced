"""What is measured of a population while it trains against one step of its training.

Divided by `training.spectrum_every` it is the share of training time.
"""

import jax
import numpy as np

from benchmarks.population import prepare
from benchmarks.side_by_side import Ratio, ratio
from transfer.models import TransformerConfig


def measure() -> dict[str, Ratio]:
    # Width 64 is decomposed, the others are followed by Lanczos.
    return {
        f"width {width}, {layers} layers: measuring / one step": _against_a_step(width, layers)
        for width, layers in ((64, 2), (128, 3), (256, 4))
    }


def _against_a_step(width: int, layers: int) -> Ratio:
    model = TransformerConfig(width=width, layers=layers, dtype="float32")
    compiled, trials, batches, held_out = prepare(model, "in_turn", 1)
    steps = 5
    state = compiled.init(trials)
    earlier = compiled.hidden(state)

    def train() -> object:
        # Consumes its state.
        return compiled.run(jax.tree.map(np.copy, start), trials, batches, np.int32(steps))

    start = jax.tree.map(np.asarray, state)
    return ratio(
        lambda: [compiled.measure(state, trials, earlier, held_out) for _ in range(steps)], train
    )
