"""What is trained, planned, tabulated and named: the trials that share one compiled program."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from fractions import Fraction

from transfer.data import DataConfig, ImageConfig
from transfer.errors import TransferError
from transfer.models import ModelConfig, ModelLayout, model_layout, parameter_count
from transfer.run_directory import Origin
from transfer.scaling import Calibration, Horizon, Hyperparameters, MeasuredHorizon, Recipe
from transfer.sharding import MeshConfig
from transfer.training.config import TrainingConfig


@dataclasses.dataclass(frozen=True)
class TrialSpec:
    """One trial to train.

    Fields:
      hyperparameters: in canonical units, as they read in the base run.
      seed: of the init and of the batches.
      recipe: turns the hyperparameters into what every parameter gets at the group's size; a name
        stands for its recipe.
      origin: `sweep`, or `predicted` where `transfer predict` found the hyperparameters.

    Raises `TransferError` unless the seed is a whole number from 0 to 2^32 - 1.
    """

    hyperparameters: Hyperparameters
    seed: int
    recipe: Recipe
    origin: Origin = "sweep"

    def __post_init__(self) -> None:
        object.__setattr__(self, "recipe", Recipe.of(self.recipe))
        if not 0 <= self.seed < 2**32:
            raise TransferError(
                f"The seed is {self.seed}; expected a whole number from 0 to 2^32 - 1."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaseSizes:
    """The sizes of the base run, at which hyperparameters are meant as they stand.

    A depth, batch size (in windows or images) or number of tokens (of the whole run) of 0 is the
    group's own.
    """

    width: int
    layers: int = 0
    batch_size: int = 0
    tokens: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """The size of a run: trials of one shape can share a compiled program.

    Fields:
      width, layers: of the model; a model whose layers are not stacked has one.
      batch_size: in windows or images.
      steps, tokens: of the whole run; a labeled image counts as one token.
    """

    width: int
    layers: int
    batch_size: int
    steps: int
    tokens: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialGroup:
    """The unit of training, planning and resumption, with all that decides its outcome.

    Trials of one model, shape and length; each has its own hyperparameters, seed and recipe.

    Fields:
      model: at the group's width.
      base: the sizes at which the hyperparameters are meant as they stand.
      data, training: what is read, and how it is trained.
      trials: in the order in which the program stacks them.
      slots: at least how many trials the program has room for, so that groups of other sizes share
        it; those that stay empty cost nothing where trials run in turn, and vectorized programs
        have none.
      mesh: how devices share the work, which changes no result.
      objective: the loss by which the sweep compares its trials (`run_directory.OBJECTIVES`).
      survivors: the share of each recipe's points that go on at every horizon but the last; 1 stops
        none.
      rung: of a ladder, what tells the group from others of its width, in words.

    Example:
      >>> from transfer.config import read
      >>> group = read({"model": {"width": 64}, "base_width": 16}).single_run()
      >>> print(group)
      mup+sqrt at width 64
      >>> group.shape.steps, group.layout.parameters["embedding.table"].m_out
      (200, Fraction(4, 1))
    """

    model: ModelConfig
    base: BaseSizes
    data: DataConfig | ImageConfig
    training: TrainingConfig
    trials: tuple[TrialSpec, ...]
    mesh: MeshConfig = MeshConfig()
    objective: str = "eval_loss"
    survivors: float = 1.0
    slots: int = 0
    rung: str = ""

    @functools.cached_property
    def layout(self) -> ModelLayout:
        """The parameters and multipliers of the model, compared with those of the base."""
        return _layout(self.model, self.base.width, self.base.layers)

    @functools.cached_property
    def shape(self) -> Shape:
        """Width, depth, batch size and length."""
        per_step = self.data.tokens_per_step
        steps = self.training.resolved_steps(parameter_count(self.layout.parameters), per_step)
        return Shape(
            width=self.model.width,
            layers=getattr(self.model, "layers", 1),
            batch_size=self.data.batch_size,
            steps=steps,
            tokens=steps * per_step,
        )

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """The distinct recipes of its trials, in order of appearance."""
        return tuple(dict.fromkeys(trial.recipe for trial in self.trials))

    @property
    def recipe_names(self) -> str:
        """The recipes as tables and terminals show them."""
        return ", ".join(dict.fromkeys(map(str, self.recipes)))

    def horizon(self, recipe: Recipe) -> Horizon:
        """What the group's batch size and length do to the optimizer under a recipe.

        Raises `TransferError` where they are not the base's and the recipe has no rule for it.
        """
        batch_size, tokens = self.shape.batch_size, self.shape.tokens
        return recipe.at_horizon(
            self.training.family,
            Fraction(batch_size, self.base.batch_size or batch_size),
            Fraction(tokens, self.base.tokens or tokens),
        )

    @property
    def kind(self) -> str:
        """What its name begins with, and that of others of its width."""
        return f"width-{self.model.width}"

    @property
    def name(self) -> str:
        """A file name of its own, from all trials in the group."""
        return f"{self.kind}-{_digest([self.trial_name(trial) for trial in self.trials])[:8]}"

    @property
    def _named_training(self) -> dict[str, object]:
        """What of the training names a trial; an option that is off does not."""
        settings = dataclasses.asdict(self.training)
        off = {name for name in TrainingConfig.OPTIONAL if not settings[name]}
        if not self.training.horizons:
            off |= set(TrainingConfig.OF_HORIZONS)
        return {name: value for name, value in settings.items() if name not in off}

    def trial_name(self, trial: TrialSpec) -> str:
        """Name a trial by a hash of all that decides its outcome."""
        base, training = self.base, self._named_training
        model = dataclasses.asdict(self.model)  # type: ignore[call-overload]
        unnamed = getattr(self.model, "UNNAMED", ())
        return _digest(
            [
                {name: value for name, value in model.items() if name not in unnamed},
                base.width,
                [base.layers, base.batch_size, base.tokens],
                _recipe_fields(trial.recipe),
                training | dict.fromkeys(TrainingConfig.KEEPING),
                dataclasses.asdict(self.data) | {"data_dir": ""},
                _asked(trial),
                *([self.survivors] if self.survivors < 1 else []),
            ]
        )[:12]

    def __str__(self) -> str:
        return ", ".join(
            filter(None, (f"{self.recipe_names} at width {self.model.width}", self.rung))
        )


# Groups of one width ask for the same layout, which takes a good part of a second.
_layout = functools.cache(model_layout)


def _asked(trial: TrialSpec) -> dict[str, object]:
    return {
        "hyperparameters": dataclasses.asdict(trial.hyperparameters),
        "seed": trial.seed,
        "origin": trial.origin,
    }


def _recipe_fields(recipe: Recipe) -> dict[str, object]:
    """A recipe by the keys of a configuration, in which the default clipping is empty."""
    default = Recipe(recipe.parametrization, recipe.rates)
    measured = recipe.decay if isinstance(recipe.decay, Calibration) else Calibration()
    ladder = {}
    if isinstance(recipe.horizon, MeasuredHorizon):
        ladder["measured_horizon"] = dataclasses.asdict(recipe.horizon)
    return {
        "name": str(recipe),
        "clipping": "" if recipe.clipping == default.clipping else recipe.clipping,
        "decay_readout": recipe.decay_readout,
        "initializer": recipe.initializer,
        "depth": recipe.depth,
        "horizon": str(recipe.horizon),
        "calibration": dataclasses.asdict(measured),
        **ladder,
    }


def _digest(content: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
