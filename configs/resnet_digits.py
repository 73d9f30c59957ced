"""A ResNet on 8x8 images of handwritten digits by AdamW: `standard` against muP, embedded data."""

from transfer.config import template


def get_config():
    config = template("resnet", "images")
    config.name = "resnet digits"
    config.base_width = 8
    config.model.width = 64  # the target
    config.model.stages = (1, 1)
    config.model.image_channels = 1
    config.model.dtype = "float32"
    config.data.crop_padding = 2
    config.training.steps = 200
    config.training.warmup = 20
    config.training.log_every = 100
    config.sweep.widths = (8, 16, 32)
    config.sweep.recipes = ("standard", "mup+sqrt")
    config.sweep.seeds = (0, 1, 2, 3, 4)
    config.sweep.objective = "loss"
    config.sweep.space.learning_rate = tuple(2.0**k for k in range(-10, 0, 2))
    return config
