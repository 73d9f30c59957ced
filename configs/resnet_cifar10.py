"""A ResNet-18 for CIFAR-10 by SGD with momentum: tune at widths 16 to 64, train at 256.

Meant for an accelerator; TFDS prepares the images once, which takes TensorFlow. By AdamW:
`--config.training.optimizer=adamw` and learning rates from 2^-10 to 2^-4.
"""

from transfer.config import template


def get_config():
    config = template("resnet", "images")
    config.name = "resnet cifar10"
    config.base_width = 16
    config.model.width = 256  # the target; as published it is 64
    config.model.stages = (2, 2, 2, 2)
    config.hyperparameters.learning_rate = 2.0**-4
    config.hyperparameters.weight_decay = 2.0**-7
    config.data.name = "cifar10"
    config.data.batch_size = 128
    config.data.eval_images = 10_000
    config.data.crop_padding = 4
    config.data.flip = True
    config.training.optimizer = "sgd"
    config.training.steps = 4000
    config.training.warmup = 200
    config.training.checkpoint_every = 1000
    config.sweep.widths = (16, 32, 64)
    config.sweep.recipes = ("mup+sqrt",)
    config.sweep.seeds = (0, 1, 2)
    config.sweep.space.learning_rate = tuple(2.0**k for k in range(-7, 1))
    return config
