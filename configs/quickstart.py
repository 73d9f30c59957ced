"""The quickstart: standard against muP on the Python standard library's own source, in bytes.

Takes about five minutes on 2 CPU cores. In our run (`experiments/quickstart`) the best learning
rate of `standard` falls by about a factor of two with every doubling of width, and that of
`mup+sqrt` stays. Decay is not swept.
"""

from transfer.config import template


def get_config():
    config = template()
    config.name = "quickstart"
    config.base_width = 16
    config.model.width = 128  # the target
    config.model.layers = 2
    config.model.head_dim = 16
    config.model.dtype = "float32"
    # Exponents leave the constants to the user: at the base width this readout does better.
    config.hyperparameters.readout_output = 4.0
    config.data.sequence_length = 64
    config.data.batch_size = 16
    config.training.steps = 150
    config.training.warmup = 20
    config.sweep.widths = (16, 32, 64)
    config.sweep.recipes = ("standard", "mup+sqrt")
    config.sweep.seeds = (0, 1, 2)
    config.sweep.space.learning_rate = tuple(2.0**k for k in range(-8, -2))
    return config
