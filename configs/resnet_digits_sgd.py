"""As `resnet_digits.py`, by SGD with momentum and with a third stage.

A readout that sums more channels makes `standard` unstable sooner: with two stages, SGD's best
learning rate stays between widths 8 and 64 under both recipes.
"""

from transfer.config import template


def get_config():
    config = template("resnet", "images")
    config.name = "resnet digits, SGD"
    config.base_width = 8
    config.model.width = 64  # the target
    config.model.stages = (1, 1, 1)
    config.model.image_channels = 1
    config.model.dtype = "float32"
    config.hyperparameters.readout_output = 4.0
    config.data.batch_size = 16
    config.data.crop_padding = 2
    config.training.optimizer = "sgd"
    config.training.steps = 300
    config.training.warmup = 20
    config.training.clip = 0.0
    config.training.log_every = 100
    config.sweep.widths = (8, 16, 32)
    config.sweep.recipes = ("standard", "mup+sqrt")
    config.sweep.seeds = (0, 1, 2, 3, 4)
    config.sweep.objective = "loss"
    config.sweep.bracket = 5
    config.sweep.space.learning_rate = tuple(2.0**k for k in range(-10, -3))
    return config
