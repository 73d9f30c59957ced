"""A recipe turns a parameter's role into its init, multiplier, learning rate, decay and epsilon."""

import dataclasses
import math
import typing
from collections.abc import Iterable
from typing import Literal

from transfer.errors import TransferError, nearest
from transfer.scaling import decay as decay_rules
from transfer.scaling.layout import Layout, Parameter
from transfer.scaling.parametrizations import PARAMETRIZATIONS, Parametrization
from transfer.scaling.powers import Power
from transfer.scaling.roles import Role
from transfer.scaling.spectral import spectral_std

Family = Literal["entrywise", "linear", "relative", "spectral"]
FAMILIES: tuple[Family, ...] = typing.get_args(Family)
_RATES = ("uniform", "full", "none")
_CLIPPING = ("invariant", "raw")
_INITIALIZERS = ("gaussian", "spectral")
_ONE = Power()
_SPECTRAL_STEP = Power.parse("in^-1/2 out^1/2")


@dataclasses.dataclass(frozen=True)
class Rule:
    """What a recipe prescribes for one parameter, as factors relative to the base width.

    `std` is the factor of the init std, `multiplier` that of the forward pass; `learning_rate`,
    `weight_decay` and `epsilon` multiply the optimizer's own; `clip` weighs the squared gradient in
    the clipped norm. All are exactly 1.0 at the base width, but `weight_decay`, which is 0.0
    wherever the recipe's mask is off.
    """

    role: Role
    std: float
    multiplier: float
    learning_rate: float
    weight_decay: float
    epsilon: float
    clip: float


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A parametrization, its learning-rate exponents, a decay rule and a clipped norm.

    The learning rate's exponents depend on the size of an optimizer's step, by which optimizers
    fall into four families:

    | family    | step                               | optimizers                               |
    |-----------|------------------------------------|------------------------------------------|
    | entrywise | every entry of order 1             | Adam(W), Adam-atan2, AdamP, Lion         |
    | linear    | proportional to the gradient       | SGD, with momentum too                   |
    | relative  | every entry of order rms(w)        | Adafactor scaled by parameter size       |
    | spectral  | all singular values of a matrix 1  | Muon; entrywise on all that is not hidden |

    Arguments:
      parametrization: `standard`, `ntk`, `mup` (Table 8), `mup_table3`, `mup_table9`, `mean_field`
        or `unit`.
      rates: exponents of the learning rate: `uniform` (one rate), `full` (full alignment) or `none`
        (no alignment); by default `uniform` for standard and ntk, `full` for the others.
      decay: `sqrt`, `constant`, `independent` or a number x for decay ~ m_in^x; by default
        `constant` for standard and ntk, `sqrt` for the others. It is the entrywise optimizers'
        rule; the other families hold lr * decay fixed.
      clipping: `invariant`, sqrt(sum_l c_l |g_l|^2) with c_l the full-alignment SGD learning rate,
        the same for all forms of a class, or `raw`; by default `raw` for standard with uniform
        rates, as frameworks do, and `invariant` otherwise.
      decay_readout: decay the readout too, with lr * decay held fixed.
      initializer: `gaussian`, relative to the model's own init at the base width, or `spectral`,
        which sets the spectral norm of hidden and output matrices (muP class only).

    Raises `TransferError` for an unknown name.

    Example:
      >>> recipe = Recipe("mup")
      >>> recipe.rates, recipe.decay, str(recipe)
      ('full', 'sqrt', 'mup+sqrt')

    Source: arXiv 2203.03466 (Tables 3, 8, 9), 2407.05872 (Table 1), 2510.15262 (decay).
    """

    parametrization: str = "mup"
    rates: str = ""
    decay: str | float = ""
    clipping: str = ""
    decay_readout: bool = False
    initializer: str = "gaussian"

    def __post_init__(self) -> None:
        _known("parametrization", self.parametrization, PARAMETRIZATIONS)
        self._resolve("rates", self.rates or self.table.rates)
        self._resolve(
            "decay", decay_rules.parse(self.table.decay if self.decay == "" else self.decay)
        )
        framework = self.parametrization == "standard" and self.rates == "uniform"
        self._resolve("clipping", self.clipping or ("raw" if framework else "invariant"))
        _known("rates", self.rates, _RATES)
        _known("clipping", self.clipping, _CLIPPING)
        _known("initializer", self.initializer, _INITIALIZERS)
        if self.initializer == "spectral" and self.table.rates == "uniform":
            raise TransferError(
                f"The spectral initializer gives muP's init, which {self.parametrization} is not; "
                "expected a parametrization of the muP class such as mup_table3."
            )

    def _resolve(self, field: str, value: str | float) -> None:
        object.__setattr__(self, field, value)

    @classmethod
    def parse(cls, text: str) -> "Recipe":
        """Read `PARAMETRIZATION[/RATES][+DECAY]`, as printed by `str`.

        Example:
          >>> Recipe.parse("standard/full+independent").rates
          'full'
        """
        name, _, decay = text.partition("+")
        parametrization, _, rates = name.partition("/")
        return cls(parametrization, rates=rates, decay=decay)

    def __str__(self) -> str:
        name = self.parametrization
        if self.rates != self.table.rates:
            name += f"/{self.rates}"
        # What frameworks do needs no suffix: `standard` is standard.
        return name if self.decay == "constant" == self.table.decay else f"{name}+{self.decay}"

    @property
    def table(self) -> Parametrization:
        """The table this recipe reads."""
        return PARAMETRIZATIONS[self.parametrization]

    def rules(self, layout: Layout, family: Family = "entrywise") -> dict[str, Rule]:
        """Return the rule of every parameter of a layout.

        Raises `TransferError` when the layout ties an embedding to the readout and the recipe wants
        different things of the two, or when the recipe needs of a model of one's own a forward
        multiplier that it does not apply, or an init other than its own.
        """
        if layout.multiplied is not None:
            self._refuse_missing_multipliers(layout, layout.multiplied)
            self._refuse_absolute_init()
        return {path: self.rule(parameter, family) for path, parameter in layout.items()}

    def rule(self, parameter: Parameter, family: Family = "entrywise") -> Rule:
        """Return the rule of one parameter."""
        _known("family", family, FAMILIES)
        if parameter.tied:
            self._refuse_unequal_tie(parameter, family)
        role, m_in, m_out = parameter.role, parameter.m_in, parameter.m_out
        row = self.table.rows[role]
        multiplier = row.multiplier.at(m_in, m_out)
        learning_rate = self._learning_rate(role, family).at(m_in, m_out)

        weight_decay = 0.0
        if role == Role.HIDDEN and family == "entrywise":
            step = multiplier * learning_rate
            weight_decay = decay_rules.factor(self.decay, float(m_in), step) * multiplier
        elif role == Role.HIDDEN or (role == Role.OUTPUT and self.decay_readout):
            weight_decay = 1.0 / learning_rate

        return Rule(
            role=role,
            std=row.std.at(m_in, m_out),
            multiplier=multiplier,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            epsilon=self._epsilon(role).at(m_in, m_out),
            clip=1.0 if self.clipping == "raw" else row.sgd["full"].at(m_in, m_out),
        )

    def init_std(self, parameter: Parameter) -> float | None:
        """Init std of a parameter; None for a constant, whose init no width changes."""
        if parameter.base_std is None:
            return None
        spectral = parameter.role in (Role.HIDDEN, Role.OUTPUT) and self.initializer == "spectral"
        if spectral and parameter.gain is not None:
            std = parameter.gain * spectral_std(parameter.fan_in, parameter.fan_out)
            return std / self.multiplier(parameter)
        row = self.table.rows[parameter.role]
        return parameter.base_std * row.std.at(parameter.m_in, parameter.m_out)

    def multiplier(self, parameter: Parameter) -> float:
        """Forward multiplier of a weight, or of a contraction of activations.

        A contraction, annotated `head_dim ->`, has inputs and no outputs: attention logits, scaled
        by d0^-1/2 at the base head dimension d0 and from there by (d / d0)^-1 in the muP class,
        (d / d0)^-1/2 otherwise (arXiv 2203.03466, Definition 4.1).
        """
        if parameter.axes.inputs and not parameter.axes.outputs:
            base = parameter.fan_in / parameter.m_in
            return math.pow(base, -0.5) * math.pow(parameter.m_in, self.table.attention)
        row = self.table.rows[parameter.role]
        return row.multiplier.at(parameter.m_in, parameter.m_out)

    def _learning_rate(self, role: Role, family: Family) -> Power:
        if self.rates == "uniform":
            return _ONE
        row = self.table.rows[role]
        if family == "linear":
            return row.sgd[self.rates]
        if family == "relative":
            return row.adam[self.rates] / row.std
        if family == "spectral" and role == Role.HIDDEN:
            return _SPECTRAL_STEP / row.multiplier
        return row.adam[self.rates]

    def _epsilon(self, role: Role) -> Power:
        if self.rates == "uniform" and self.table.framework_epsilon:
            return _ONE
        return self.table.rows[role].epsilon

    def _refuse_missing_multipliers(self, layout: Layout, applied: frozenset[str]) -> None:
        for path, parameter in layout.items():
            uses = (parameter.role, Role.OUTPUT) if parameter.tied else (parameter.role,)
            for role in uses:
                # Exponents, not factors: a mismatch shows at the base width too.
                power = self.table.rows[role].multiplier
                if power != _ONE and path not in applied:
                    instead = "" if parameter.tied else "a recipe such as mup_table3+sqrt, or "
                    raise TransferError(
                        f"{self} multiplies {path} as {role} weight by {power} in the forward "
                        f"pass, which the layout says this model does not; expected {instead}a "
                        "model that applies transfer.multiplier and a layout inferred with "
                        f"multiplied=[{path!r}]."
                    )

    def _refuse_absolute_init(self) -> None:
        if self.initializer == "spectral":
            raise TransferError(
                "The spectral initializer sets a std, and a model of one's own has its init "
                'rescaled by a factor; expected initializer="gaussian", or weights drawn with '
                "transfer.spectral_std."
            )

    def _refuse_unequal_tie(self, parameter: Parameter, family: Family) -> None:
        columns = (
            ("init std", lambda role: self.table.rows[role].std),
            ("learning rate", lambda role: self._learning_rate(role, family)),
            ("epsilon", self._epsilon),
        )
        for name, column in columns:
            # The table's width is its fan-out as a lookup and its fan-in as a readout. Exponents
            # are compared, not factors, so that a tie is refused at the base width too.
            if column(Role.INPUT).fan_out != column(Role.OUTPUT).fan_in:
                raise TransferError(
                    f"{parameter.path} is both embedding and readout, but {self} gives the two a "
                    f"different {name}; expected an untied readout, or a recipe whose rows agree "
                    "such as mup+sqrt."
                )
        if self.decay_readout:
            raise TransferError(
                f"{parameter.path} is both embedding and readout, and embeddings are not decayed; "
                "expected decay_readout=False or an untied readout."
            )


def multiplier(layout: Layout, recipe: Recipe, path: str, role: Role | None = None) -> float:
    """Return the forward multiplier that a model has to apply to the weight at `path`.

    For a model of one's own that follows a form with multipliers, such as `mup`'s readout. `role`
    says which use of a tied embedding is meant: `Role.OUTPUT` scales its logits.

    Example:
      >>> from transfer.scaling.axes import Axes
      >>> from transfer.scaling.layout import Annotated
      >>> readout = lambda n: {"w": Annotated(axes=Axes.parse("embed -> vocab"), shape=(n, 9))}
      >>> layout = Layout.compare(base=readout(64), probe=readout(128), target=readout(256))
      >>> multiplier(layout, Recipe("mup"), "w")
      0.25
    """
    parameter = layout[path]
    if role is None or role == parameter.role:
        row = recipe.table.rows[parameter.role]
        return row.multiplier.at(parameter.m_in, parameter.m_out)
    if not (parameter.tied and role == Role.OUTPUT):
        raise TransferError(
            f"{path} is no {role} weight but {parameter.role}; expected its own role, or the role "
            "output of a tied embedding."
        )
    # A lookup's fan-out is the readout's fan-in.
    return recipe.table.rows[role].multiplier.at(parameter.m_out, parameter.m_in)


def _known(what: str, name: str, names: Iterable[str]) -> None:
    options = list(names)
    if name not in options:
        raise TransferError(
            f'The {what} "{name}" is unknown; expected one of {", ".join(options)}'
            f"{nearest(name, options)}."
        )
