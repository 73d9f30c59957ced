"""Draft."""
from experiments.sublayers import trained
from transfer.cli import platform
from transfer.config import read, template
from transfer.sweep import Group, Setting

BASE_WIDTH = 16
WIDTHS = (16, 32, 64, 128)
RULES = ("mup+sqrt", "mup+constant", "mup+independent", "standard")
SEEDS = (0, 1, 2)
STEPS = 1664


def experiment():
    config = template()
    config.name = "decay_rules"
    config.base_width = BASE_WIDTH
    config.model.width = WIDTHS[-1]
    config.model.layers = 2
    config.model.head_dim = 16
    config.model.dtype = "float32"
    config.hyperparameters.learning_rate = 2.0**-5
    config.hyperparameters.weight_decay = 0.5
    config.hyperparameters.readout_output = 4.0
    config.data.sequence_length = 32
    config.data.batch_size = 8
    config.training.steps = STEPS
    config.training.schedule = "constant"
    config.training.warmup = 20
    config.training.log_every = 64
    config.training.spectrum_every = 64
    return read(config)


def groups(asked):
    settings = tuple(Setting(asked.hyperparameters, seed) for seed in SEEDS)
    # At the base width all rules are one model.
    found = [Group(WIDTHS[0], "mup+sqrt", settings)]
    return found + [Group(w, rule, settings) for w in WIDTHS[1:] for rule in RULES]


if __name__ == "__main__":
    platform.prepare()
    asked = experiment()
    trained("runs/decay_rules/text", asked, groups(asked))
