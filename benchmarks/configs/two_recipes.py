"""Nine learning rates under two recipes at three widths: `python -m benchmarks recipes`."""

from transfer.config import template


def get_config():
    config = template()
    config.name = "two_recipes"
    config.base_width = 16
    config.model.layers = 3
    config.model.head_dim = 16
    config.model.dtype = "float32"
    config.data.sequence_length = 64
    config.data.batch_size = 16
    config.training.steps = 200
    config.training.warmup = 20
    config.sweep.widths = (32, 64, 128)
    config.sweep.recipes = ("standard", "mup+sqrt")
    config.sweep.space.learning_rate = tuple(2.0**k for k in range(-10, -1))
    return config
