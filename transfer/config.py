"""The configuration of an experiment: typed, checked, and the same in files, flags and JSON.

A config file returns `template()` with its own values; `--config.section.key=value` overrides them;
`read` turns the result into an `Experiment` or says which key is wrong.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

from transfer.data import DataConfig, ImageConfig
from transfer.errors import TransferError, nearest
from transfer.models import (
    Model,
    ModelLayout,
    TransformerConfig,
)
from transfer.run_directory import OBJECTIVES, Origin
from transfer.scaling import Calibration, Hyperparameters, MeasuredHorizon, Recipe
from transfer.scaling.measured_horizon import MEASURED
from transfer.sharding import MeshConfig
from transfer.training.config import TrainingConfig
from transfer.training.group import BaseSizes, TrialGroup, TrialSpec
from transfer.training.horizon_settings import require_horizons_of_sweep
from transfer.training.ladder_axes import LadderAxes

# How a sweep chooses its trials.
SEARCHES = ("grid", "random", "adaptive")
# Kinds of data, which `kind` tells apart as it does those of `Model`; the first is the default.
Data = DataConfig | ImageConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecipeConfig:
    """Which rules a run follows: `name` is PARAMETRIZATION[/RATES][+DECAY], see `Recipe`.

    `depth` and `horizon` say what another depth, batch size or number of tokens than the base run's
    does; they change nothing at its own. `calibration` holds the exponents of the decay `measured`,
    as `transfer predict --decay=measured` finds them, and `measured_horizon` those of the horizon
    `measured`, as it finds them in a ladder.
    """

    name: str = "mup+sqrt"
    clipping: str = ""
    decay_readout: bool = False
    initializer: str = "gaussian"
    depth: str = ""
    horizon: str = ""
    calibration: Calibration = Calibration()
    measured_horizon: MeasuredHorizon = MeasuredHorizon()

    def build(self, name: str = "") -> Recipe:
        """Make the recipe, under another name with the same options if one is given."""
        return dataclasses.replace(
            Recipe.parse(name or self.name, self.calibration),
            clipping=self.clipping,
            decay_readout=self.decay_readout,
            initializer=self.initializer,
            depth=self.depth,
            horizon=self.measured_horizon if self.horizon == MEASURED else self.horizon,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """Values of each hyperparameter: a list for a grid, (low, high) for the other searches.

    An empty tuple leaves the hyperparameter at the experiment's own value.
    """

    learning_rate: tuple[float, ...] = ()
    weight_decay: tuple[float, ...] = ()
    input_learning_rate: tuple[float, ...] = ()
    readout_learning_rate: tuple[float, ...] = ()
    init_scale: tuple[float, ...] = ()
    embedding_output: tuple[float, ...] = ()
    readout_output: tuple[float, ...] = ()
    attention_logits: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepConfig(LadderAxes):
    """A sweep: search space x widths x recipes x seeds, and x the other sizes of a ladder.

    `search` is `grid`, every combination of the listed values, `random`, `samples` draws that are
    uniform in the logarithm between each low and high, the same for every width and recipe, or
    `adaptive`, rounds of `population` points between each low and high that go by what narrower
    widths and earlier rounds have shown (`transfer.sweeps.search`). Every point is trained with all
    seeds. An adaptive search is done with a width when the best point is expected to lose less than
    `tolerance` of the loss there, and at the widest also at the target, with 95 % confidence, or
    after `trials` trials of a recipe, seeds counted. `extend` is how many times a grid or an
    adaptive search may go beyond its ranges at a width where the best point lies at their end.
    `objective` is what trials are compared by: `eval_loss` on held-out data after the last step, or
    `loss`, that of training over the last tenth of the run, for small data sets whose held-out part
    says little. Where runs have horizons, an adaptive search may stop trials at all but the last:
    `survivors` is the share of a round's points that go on. `bracket`, an odd number of at least 3,
    is how many learning rates a quickstart tries at the target about the optimum expected there.
    """

    widths: tuple[int, ...] = ()
    recipes: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    objective: str = "eval_loss"
    search: str = "grid"
    space: SearchSpace = SearchSpace()
    samples: int = 16
    search_seed: int = 0
    population: int = 4
    tolerance: float = 0.005
    trials: int = 24
    extend: int = 0
    survivors: float = 1.0
    bracket: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.is_ladder and self.search == "adaptive":
            raise TransferError(
                "sweep.search is adaptive, which follows width alone; expected grid or random for "
                "a sweep of layers, batch_sizes or tokens."
            )
        for name, known in (("search", SEARCHES), ("objective", OBJECTIVES)):
            if getattr(self, name) not in known:
                raise TransferError(
                    f'sweep.{name} "{getattr(self, name)}" is unknown; expected '
                    f"{' or '.join(known)}{nearest(getattr(self, name), known)}."
                )
        if not 0 < self.tolerance < 1:
            raise TransferError(
                f"sweep.tolerance is {self.tolerance}; expected a share of the loss above 0 and "
                "below 1, such as 0.005 for half a percent."
            )
        if self.population < 1:
            raise TransferError(
                f"sweep.population is {self.population}; expected at least 1 point a round."
            )
        least = self.population * len(self.seeds) if self.search == "adaptive" else 1
        if self.trials < max(1, least):
            raise TransferError(
                f"sweep.trials is {self.trials}; expected at least {max(1, least)}, a round of "
                "sweep.population points with every seed."
            )
        if self.extend < 0:
            raise TransferError(
                f"sweep.extend is {self.extend}; expected at least 0, which keeps to the ranges."
            )
        if self.bracket < 3 or self.bracket % 2 == 0:
            raise TransferError(
                f"sweep.bracket is {self.bracket}; expected an odd number of at least 3, so that "
                "the expected optimum has as many learning rates on either side."
            )
        for field in dataclasses.fields(SearchSpace):
            values = getattr(self.space, field.name)
            may_be_zero = field.name == "weight_decay" and self.search == "grid"
            if not all(0 < value < math.inf or (may_be_zero and value == 0) for value in values):
                raise TransferError(
                    f"sweep.space.{field.name} is {values}; expected positive numbers, since their "
                    "logarithm is what is searched."
                )
            if self.search == "random" and values and (len(values) != 2 or values[0] > values[1]):
                raise TransferError(
                    f"sweep.space.{field.name} is {values}; expected (low, high) for a "
                    "random search."
                )
            if (
                self.search == "adaptive"
                and values
                and (len(values) != 2 or values[1] < 2 * values[0])
            ):
                raise TransferError(
                    f"sweep.space.{field.name} is {values}; expected (low, high) for an adaptive "
                    "search, at least a factor of two apart."
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything that defines a run; the base is where hyperparameters are meant as they stand.

    A base depth, batch size (in windows or images) or number of tokens (of the whole run) of 0 is
    the run's own; another needs a rule in the recipe. `seed` is that of a single run; a sweep has
    its own. The model reads data of the kind there is. The mesh says how devices share the work,
    not what the work is: a run may go on on another.
    """

    name: str = "transformer"
    base_width: int = 32
    base_layers: int = 0
    base_batch_size: int = 0
    base_tokens: int = 0
    seed: int = 0
    model: Model = TransformerConfig()
    recipe: RecipeConfig = RecipeConfig()
    hyperparameters: Hyperparameters = Hyperparameters(learning_rate=2.0**-6, weight_decay=0.1)
    data: Data = DataConfig()
    training: TrainingConfig = TrainingConfig()
    mesh: MeshConfig = MeshConfig()
    sweep: SweepConfig = SweepConfig()

    def __post_init__(self) -> None:
        if (reads := self.model.reads) != self.data.kind:
            raise TransferError(
                f"A {self.model.kind} reads {reads} but data.kind is {self.data.kind}; expected "
                f'data of {reads}: template(model="{self.model.kind}", data="{reads}").'
            )
        if self.base_width < 1:
            raise TransferError(
                f"base_width is {self.base_width}; expected the width, of at least 1, at which the "
                "hyperparameters are meant as they stand."
            )
        for name in ("base_layers", "base_batch_size", "base_tokens"):
            if getattr(self, name) < 0:
                raise TransferError(
                    f"{name} is {getattr(self, name)}; expected a whole number of at least 1, or "
                    "0 for the run's own."
                )
        for width in (self.base_width, *self.sweep.widths):
            dataclasses.replace(self.model, width=width)
        sweep, horizons = self.sweep, self.training.horizons
        require_horizons_of_sweep(
            horizons, sweep.objective, self.base_tokens, sweep.search, sweep.survivors
        )
        self.recipe.build()
        recipes = [str(self.recipe.build(name)) for name in self.sweep.recipes]
        if len(set(recipes)) < len(recipes):
            raise TransferError(
                f"sweep.recipes is {self.sweep.recipes}, which reads as {', '.join(recipes)}; "
                "expected none twice."
            )
        for name, value in dataclasses.asdict(self.hyperparameters).items():
            may_be_zero = name == "weight_decay"
            if not (0 < value < math.inf or (may_be_zero and value == 0)):
                raise TransferError(
                    f"hyperparameters.{name} is {value}; expected a finite number "
                    f"{'of at least 0' if may_be_zero else 'above 0'}."
                )
        for seed in (self.seed, *self.sweep.seeds):
            if not 0 <= seed < 2**32:
                raise TransferError(
                    f"The seed {seed} does not fit; expected a whole number from 0 to 2^32 - 1."
                )

    def at(self, width: int) -> Model:
        """The model at another width."""
        return dataclasses.replace(self.model, width=width)

    def group(self, width: int, trials: Iterable[TrialSpec] = ()) -> TrialGroup:
        """Resolve all that trials at a width are trained, planned, tabulated and named by."""
        return TrialGroup(
            model=self.at(width),
            base=BaseSizes(
                width=self.base_width,
                layers=self.base_layers,
                batch_size=self.base_batch_size,
                tokens=self.base_tokens,
            ),
            data=self.data,
            training=self.training,
            trials=tuple(trials),
            mesh=self.mesh,
            objective=self.sweep.objective,
            survivors=self.sweep.survivors,
        )

    def single_run(self, origin: Origin = "sweep") -> TrialGroup:
        """The one trial that the model's own width, the recipe, hyperparameters and seed give."""
        trial = TrialSpec(self.hyperparameters, self.seed, self.recipe.build(), origin)
        return self.group(self.model.width, [trial])

    def layout(self, width: int) -> ModelLayout:
        """The model at another width, compared with the base."""
        return self.group(width).layout

    def steps(self, width: int) -> int:
        """Length of a run at another width."""
        return self.group(width).shape.steps


def template(model: str = "transformer", data: str = "text") -> ConfigDict:
    """Return the defaults as a ConfigDict for a config file to fill in.

    `model` is the kind of model, `transformer`, `resnet` or `cnn`, and `data` what it reads, `text`
    or `images`.

    Example:
      >>> config = template("resnet", "images")
      >>> config.model.width = 512
      >>> read(config).model.width, read(config).data.name
      (512, 'digits')
    """
    sections = {"model": {"kind": model}, "data": {"kind": data}}
    return ConfigDict(dataclasses.asdict(read(sections)))


def read(config: ConfigDict | Mapping[str, Any]) -> Experiment:
    """Check a configuration and freeze it; raises `TransferError` naming what is wrong."""
    content = config.to_dict() if isinstance(config, ConfigDict) else config
    return typing.cast(Experiment, _read(Experiment, content, "config"))


def require_key(key: str, config: ConfigDict | None = None) -> None:
    """Raise `TransferError` unless `key`, such as `model.width`, is a setting of `Experiment`.

    Of a section of several kinds it may be any, or is that of `config`.
    """
    _kind(key, config)


def expected(key: str) -> str:
    """Say what a setting takes.

    Example:
      >>> expected("sweep.widths")
      'a list of whole numbers'
    """
    kind = _kind(key)
    if dataclasses.is_dataclass(kind) or isinstance(kind, types.UnionType):
        return "a section with keys of its own"
    if typing.get_origin(kind) is tuple:
        return f"a list of {_PLURAL[typing.get_args(kind)[0]]}"
    return _ARTICLE[kind]


def _kind(key: str, config: ConfigDict | None = None) -> Any:
    kind: Any = Experiment
    path = "config"
    for name in key.split("."):
        if isinstance(kind, types.UnionType) and config is not None:
            kind = _chosen(kind, config.to_dict().get(path.removeprefix("config.")), path)
        elif isinstance(kind, types.UnionType):
            kinds = typing.get_args(kind)
            kind = next((each for each in kinds if name in typing.get_type_hints(each)), kinds[0])
        fields = typing.get_type_hints(kind) if dataclasses.is_dataclass(kind) else {}
        if not fields:
            raise TransferError(
                f"{path} has no keys of its own, but {path}.{name} was given; "
                f"expected {path} alone."
            )
        _require_key(typing.cast(type, kind), fields, name, path)
        kind, path = fields[name], f"{path}.{name}"
    return kind


def _require_key(kind: type, fields: Mapping[str, Any], name: str, path: str) -> None:
    reasons = getattr(kind, "REFUSED", {})
    if name in reasons:
        raise TransferError(f"{path}.{name} is not a setting: {reasons[name]}.")
    known = [field.name for field in dataclasses.fields(kind)]
    if name not in known:
        raise TransferError(
            f"{path}.{name} is unknown; expected one of {', '.join(known)}{nearest(name, known)}."
        )


def _read(kind: type, content: object, path: str) -> object:
    if not isinstance(content, Mapping):
        raise TransferError(f"{path} is {content!r}; expected a section with keys of its own.")
    types = typing.get_type_hints(kind)
    fields = {field.name: types[field.name] for field in dataclasses.fields(kind)}
    for name in content:
        _require_key(kind, fields, str(name), path)
    for field in dataclasses.fields(kind):
        if field.name not in content and field.default is dataclasses.MISSING:
            raise TransferError(f"{path}.{field.name} is missing; expected it in the section.")
    return kind(
        **{
            name: _value(fields[name], value, f"{path}.{name}")
            for name, value in content.items()
            if name != "kind"  # which chose the class
        }
    )


def _chosen(union: types.UnionType, content: object, path: str) -> Any:
    """Return the class of a section that is one of several kinds."""
    kinds = {each.kind: each for each in typing.get_args(union)}
    default = next(iter(kinds))
    name = content.get("kind", default) if isinstance(content, Mapping) else default
    if name not in kinds:
        raise TransferError(
            f'{path}.kind is "{name}"; expected {" or ".join(kinds)}{nearest(str(name), kinds)}.'
        )
    return kinds[name]


def _value(kind: Any, value: object, path: str) -> object:
    if isinstance(kind, types.UnionType):
        kind = _chosen(kind, value, path)
    if dataclasses.is_dataclass(kind):
        return _read(typing.cast(type, kind), value, path)
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, (tuple, list)):
            raise TransferError(f"{path} is {value!r}; expected a list.")
        element, _ = typing.get_args(kind)
        return tuple(_value(element, each, f"{path}[{i}]") for i, each in enumerate(value))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TransferError(f"{path} is {value!r}; expected {_ARTICLE[kind]}.")
    return value


_PLURAL = {int: "whole numbers", float: "numbers", str: "names"}
_ARTICLE = {int: "a whole number", float: "a number", str: "text", bool: "True or False"}
