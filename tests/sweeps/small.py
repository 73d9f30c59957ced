"""A small experiment whose model compiles in a few seconds, and rows of trials nobody trained."""

import dataclasses

from training.tiny import BASE_WIDTH, DATA, STEPS, Tiny

from transfer.config import Experiment, RecipeConfig, SearchSpace, SweepConfig
from transfer.models import TransformerConfig
from transfer.run_directory import TrialResult
from transfer.scaling import Hyperparameters
from transfer.sweeps import Reporter
from transfer.training import TrainingConfig, TrialGroup, TrialSpec

WARMUP = 4
RATES = (2.0**-8, 2.0**-6)


class SmallExperiment(Experiment):
    """An experiment on the tiny model instead of the transformer that it names."""

    def at(self, width: int) -> Tiny:
        return Tiny(width=width)


def experiment(**changes) -> SmallExperiment:
    sweep = SweepConfig(
        widths=(8, 16),
        recipes=("mup+sqrt",),
        seeds=(0, 3),
        space=SearchSpace(learning_rate=RATES),
    )
    defaults = {
        "base_width": BASE_WIDTH,
        "model": TransformerConfig(width=16, layers=1, head_dim=8),
        "recipe": RecipeConfig(name="mup+sqrt"),
        "hyperparameters": Hyperparameters(learning_rate=2.0**-7, weight_decay=0.1),
        "data": DATA,
        "training": TrainingConfig(steps=STEPS, warmup=WARMUP, log_every=8),
        "sweep": sweep,
    }
    return SmallExperiment(**(defaults | changes))


def swept(experiment: Experiment, **changes) -> Experiment:
    """Return the experiment with changes to its sweep."""
    return dataclasses.replace(experiment, sweep=dataclasses.replace(experiment.sweep, **changes))


def row(group: TrialGroup, spec: TrialSpec, loss: float, **changes) -> TrialResult:
    """Return the row of a trial with this held-out loss."""
    fields = {
        "trial": group.trial_name(spec),
        "group": group.name,
        "origin": spec.origin,
        "width": group.shape.width,
        "base_width": BASE_WIDTH,
        "layers": 2,
        "batch_size": 16,
        "recipe": str(spec.recipe),
        "parametrization": "mup",
        "rates": "full",
        "decay_rule": "sqrt",
        "depth_rule": "",
        "horizon_rule": "",
        "clipping": "invariant",
        "optimizer": "adamw",
        **dataclasses.asdict(spec.hyperparameters),
        "seed": spec.seed,
        "steps": STEPS,
        "tokens": 1000,
        "trunk": "",
        "parameters": 1000,
        "flops": 6e6,
        "status": "completed",
        "loss": loss,
        "eval_loss": loss,
        "eval_accuracy": 0.5,
        "objective": "eval_loss",
        "decay_times": 1.0,
        "wall_seconds": 1.0,
        "compile_seconds": 0.5,
        "execution": "in_turn, 1 trial x 1 data",
    }
    return TrialResult(**(fields | changes))


class Recorder(Reporter):
    """Remembers what it was told."""

    def __init__(self):
        self.started, self.finished, self.fractions, self.work = [], [], [], []
        self.trained_from = []

    def start(self, group, work):
        self.started.append((group.recipe_names, group.shape.width))
        self.work.append(work)

    def compiled(self, group, fraction):
        self.trained_from.append(fraction)

    def step(self, group, fraction, loss):
        self.fractions.append(fraction)

    def finish(self, group, trials):
        self.finished.append((group.recipe_names, group.shape.width, len(trials)))
