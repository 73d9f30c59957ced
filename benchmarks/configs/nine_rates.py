"""Nine learning rates at width 64, 200 steps each: what `python -m benchmarks sweep` times."""

from transfer.config import template


def get_config():
    config = template()
    config.name = "nine_rates"
    config.base_width = 16
    config.model.layers = 3
    config.model.head_dim = 16
    config.model.dtype = "float32"
    config.data.sequence_length = 64
    config.data.batch_size = 16
    config.training.steps = 200
    config.training.warmup = 20
    config.sweep.widths = (64,)
    config.sweep.recipes = ("mup+sqrt",)
    config.sweep.space.learning_rate = tuple(2.0**k for k in range(-10, -1))
    return config
