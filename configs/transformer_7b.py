"""A LLaMA-style decoder of 7 billion parameters, for a pod: tune at widths 256 to 1024, train 4096.

The batch is two sequences for each of 64 chips: `transfer plan --config=configs/transformer_7b.py
--topology=v5p:4x4x4 --mesh.fsdp=64` says what that takes.
"""

from transfer.config import template


def get_config():
    config = template()
    config.name = "transformer_7b"
    config.base_width = 256
    config.model.width = 4096
    config.model.layers = 32
    config.model.feed_forward_multiple = 2.625
    config.model.vocabulary = 32768
    config.model.head_dim = 128
    config.model.qk_norm = True
    config.model.dtype = "bfloat16"
    config.model.remat = "full"
    config.recipe.name = "mup+sqrt"
    config.hyperparameters.learning_rate = 2.0**-7
    config.hyperparameters.weight_decay = 0.1
    config.data.sequence_length = 2048
    config.data.batch_size = 128
    config.data.eval_sequences = 256
    config.training.tokens_per_parameter = 20.0
    config.training.warmup = 2000
    config.training.checkpoint_every = 1000
    config.sweep.widths = (256, 512, 1024)
    config.sweep.recipes = ("mup+sqrt",)
    config.sweep.seeds = (0, 1, 2)
    config.sweep.space.learning_rate = tuple(2.0**k for k in range(-10, -4))
    return config
