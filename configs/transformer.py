"""A LLaMA-style decoder on text: tune at widths 64 to 256, train at 1024.

Meant for an accelerator; on a laptop begin with `--config.model.layers=2` and a narrower target.
Text of your own by `--config.data.name=folder:PATH` (docs/data.md), any TFDS text data set by
`--config.data.name=lm1b`; with subwords from `--config.data.tokenizer=FILE` and as many of them
in `--config.model.vocabulary`.
"""

from transfer.config import template


def get_config():
    config = template()
    config.name = "transformer"
    config.base_width = 64
    config.model.width = 1024  # the target
    config.model.layers = 8
    config.model.head_dim = 64
    config.model.qk_norm = True
    config.model.dtype = "bfloat16"
    config.model.remat = "full"
    config.recipe.name = "mup+sqrt"
    config.hyperparameters.learning_rate = 2.0**-6
    config.hyperparameters.weight_decay = 0.1
    config.data.sequence_length = 256
    config.data.batch_size = 64
    config.training.steps = 2000
    config.training.warmup = 200
    config.training.checkpoint_every = 500
    config.sweep.widths = (64, 128, 256)
    config.sweep.recipes = ("mup+sqrt",)
    config.sweep.seeds = (0, 1, 2)
    config.sweep.space.learning_rate = tuple(2.0**k for k in range(-9, -3))
    return config
