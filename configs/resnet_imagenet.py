"""A ResNet-50 for ImageNet by AdamW: tune at widths 16 and 32, train at 128, twice as published.

Meant for a TPU slice; TFDS prepares the images once, from archives that are downloaded by hand.
"""

from transfer.config import template


def get_config():
    config = template("resnet", "images")
    config.name = "resnet imagenet"
    config.base_width = 16
    config.model.width = 128  # the target; as published it is 64
    config.model.stages = (3, 4, 6, 3)
    config.model.block = "bottleneck"
    config.model.stem = "imagenet"
    config.model.classes = 1000
    config.model.zero_init_branch = True
    config.hyperparameters.learning_rate = 2.0**-7
    config.hyperparameters.weight_decay = 0.1
    config.data.name = "imagenet2012"
    config.data.eval_split = "validation"
    config.data.batch_size = 1024
    config.data.eval_images = 50_000
    config.data.image_size = 224
    config.data.crop_area = 0.08
    config.data.flip = True
    config.training.steps = 20_000
    config.training.warmup = 1000
    config.training.checkpoint_every = 1000
    config.sweep.widths = (16, 32)
    config.sweep.recipes = ("mup+sqrt",)
    config.sweep.seeds = (0, 1)
    config.sweep.space.learning_rate = tuple(2.0**k for k in range(-10, -4))
    return config
