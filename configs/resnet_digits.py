"""A ResNet on 8x8 images of digits: standard against muP, on embedded data.

Some twenty minutes on 2 CPU cores. Trials are compared by their training loss over the last tenth,
under augmentation: the held-out digits are few. Published for other models: the best learning rate
of `standard` falls with width and that of `mup+sqrt` stays. Here (`experiments/resnet_digits`) five
seeds decide neither.
"""

from transfer.config import template


def get_config():
    config = template("resnet", "images")
    config.name = "resnet digits"
    config.base_width = 8
    config.model.width = 64  # the target
    config.model.stages = (1, 1)
    config.model.image_channels = 1
    config.model.dtype = "float32"
    # As in the quickstart, this readout does better at the base width.
    config.hyperparameters.readout_output = 4.0
    config.data.batch_size = 16
    config.data.crop_padding = 2
    config.training.steps = 300
    config.training.warmup = 20
    config.training.clip = 0.0
    config.training.log_every = 100
    config.sweep.widths = (8, 16, 32)
    config.sweep.recipes = ("standard", "mup+sqrt")
    config.sweep.seeds = (0, 1, 2, 3, 4)
    config.sweep.objective = "loss"
    config.sweep.bracket = 7
    config.sweep.space.learning_rate = tuple(2.0**k for k in range(-9, -1))
    return config
