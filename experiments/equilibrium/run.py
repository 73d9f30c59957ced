"""Gains and singular values at one width, as lr and decay move: `python -m experiments.equilibrium.run`.
"""
from transfer.cli import platform

BASE_LEARNING_RATE, BASE_DECAY = 2.0**-6, 2.0**-3
WIDTH = 64
SEEDS = (0, 1, 2)
# What learning rate and decay are multiplied by.
ARMS = {
    "base": (1.0, 1.0),
    "decay / 2": (1.0, 0.5),
    "decay x 2": (1.0, 2.0),
    "both x 2": (2.0, 2.0),
    "both x 4": (4.0, 4.0),
}
# lr * decay is a quarter of the base's here, so that it takes four times as long to settle.
SLOW = {"both / 2": (0.5, 0.5)}
STEPS = 3200


def experiment(steps):
    from transfer.config import read, template

    config = template()
    config.name = "equilibrium"
    config.base_width = WIDTH
    config.model.width = WIDTH
    config.model.layers = 2
    config.model.head_dim = 16
    config.model.dtype = "float32"
    config.hyperparameters.learning_rate = BASE_LEARNING_RATE
    config.hyperparameters.weight_decay = BASE_DECAY
    config.hyperparameters.readout_output = 4.0
    config.data.sequence_length = 32
    config.data.batch_size = 8
    config.training.steps = steps
    config.training.schedule = "constant"
    config.training.warmup = 100
    config.training.log_every = 128
    config.training.spectrum_every = 128
    return read(config)


def groups(arms, hyperparameters):
    import dataclasses

    from transfer.sweep import Group, Setting

    # By seed, so that a run that is cut off loses little.
    return [
        Group(
            WIDTH,
            "mup+sqrt",
            tuple(
                Setting(
                    dataclasses.replace(
                        hyperparameters,
                        learning_rate=rate * BASE_LEARNING_RATE,
                        weight_decay=decay * BASE_DECAY,
                    ),
                    seed,
                )
                for rate, decay in arms.values()
            ),
        )
        for seed in SEEDS
    ]


def train():
    from experiments.sublayers import trained

    runs = []
    for name, arms, steps in (("fast", ARMS, STEPS), ("slow", SLOW, 2 * STEPS)):
        asked = experiment(steps)
        runs.append(
            trained(f"runs/equilibrium/{name}", asked, groups(arms, asked.hyperparameters))
        )
    return runs


if __name__ == "__main__":
    platform.prepare()
    train()
