"""A recipe turns a parameter's role into its init, multiplier, learning rate, decay and epsilon."""

import dataclasses
import math
from collections.abc import Iterable
from fractions import Fraction

from transfer.errors import TransferError, nearest
from transfer.scaling import decay as decay_rules
from transfer.scaling import depth as depth_rules
from transfer.scaling import horizon as horizon_rules
from transfer.scaling import symmetry
from transfer.scaling.calibration import Calibration
from transfer.scaling.gauge import Gauge, Shifts
from transfer.scaling.horizon import Horizon
from transfer.scaling.layout import Layout, Parameter
from transfer.scaling.parametrizations import PARAMETRIZATIONS, Parametrization
from transfer.scaling.powers import Power
from transfer.scaling.recipe_cells import recipe_cells
from transfer.scaling.roles import Role
from transfer.scaling.rule import FAMILIES, Family, Rule
from transfer.scaling.spectral import spectral_std
from transfer.text_table import Tabular, TextTable

_RATES = ("uniform", "full", "none")
_CLIPPING = ("invariant", "raw")
_INITIALIZERS = ("gaussian", "spectral")
_ONE = Power()
_OWN_GAUGE = Gauge()
_NO_CALIBRATION = Calibration()
_WORDS = {"std": "init std", "learning_rate": "learning rate", "epsilon": "epsilon"}
_SPECTRAL_STEP = Power.parse("in^-1/2 out^1/2")


@dataclasses.dataclass(frozen=True)
class Recipe(Tabular):
    """A parametrization, its learning-rate exponents, a decay rule, and what goes with them.

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
      decay: `sqrt`, `constant`, `independent`, a number x for decay ~ m_in^x, or a `Calibration`
        with an exponent for every hidden matrix; by default `constant` for standard and ntk, `sqrt`
        for the others. It is the entrywise optimizers' rule; the other families hold lr * decay
        fixed.
      clipping: `invariant`, sqrt(sum_l c_l |g_l|^2) with c_l the full-alignment SGD learning rate,
        the same for all forms of a class, or `raw`; by default `raw` for standard with uniform
        rates, as frameworks do, and `invariant` otherwise.
      decay_readout: decay the readout too, with lr * decay held fixed.
      initializer: `gaussian`, relative to the model's own init at the base width, or `spectral`,
        which sets the spectral norm of hidden and output matrices (muP class only).
      depth: what residual blocks do at another depth: `completep` or `depth_mup` (see
        `transfer.scaling.depth`); empty for no rule, which refuses another depth.
      horizon: what the optimizer's own settings do at another batch size or number of tokens: `sde`
        (see `transfer.scaling.horizon`); empty for no rule, which refuses both.
      gauge: the shifts of `shifted`.

    Raises `TransferError` for an unknown name.

    Example:
      >>> recipe = Recipe("mup")
      >>> recipe.rates, recipe.decay, str(recipe)
      ('full', 'sqrt', 'mup+sqrt')

    Source: arXiv 2203.03466 (Tables 3, 8, 9), 2407.05872 (Table 1), 2510.15262 (decay).
    """

    parametrization: str = "mup"
    rates: str = ""
    decay: str | float | Calibration = ""
    clipping: str = ""
    decay_readout: bool = False
    initializer: str = "gaussian"
    depth: str = ""
    horizon: str = ""
    gauge: Gauge = _OWN_GAUGE

    def __post_init__(self) -> None:
        _known("parametrization", self.parametrization, PARAMETRIZATIONS)
        self._resolve("rates", self.rates or self.table.rates)
        if not isinstance(self.decay, Calibration):
            self._resolve(
                "decay", decay_rules.parse(self.table.decay if self.decay == "" else self.decay)
            )
        elif not self.decay.paths:
            decay_rules.parse(str(self.decay))  # which says how to come by exponents
        framework = self.parametrization == "standard" and self.rates == "uniform"
        self._resolve("clipping", self.clipping or ("raw" if framework else "invariant"))
        _known("rates", self.rates, _RATES)
        _known("clipping", self.clipping, _CLIPPING)
        _known("initializer", self.initializer, _INITIALIZERS)
        _known("depth rule", self.depth, depth_rules.ALPHA, optional=True)
        _known("horizon", self.horizon, horizon_rules.RULES, optional=True)
        if self.initializer == "spectral" and self.table.rates == "uniform":
            raise TransferError(
                f"The spectral initializer gives muP's init, which {self.parametrization} is not; "
                "expected a parametrization of the muP class such as mup_table3."
            )

    def _resolve(self, field: str, value: str | float) -> None:
        object.__setattr__(self, field, value)

    @classmethod
    def parse(cls, text: str, calibration: Calibration = _NO_CALIBRATION) -> "Recipe":
        """Read `PARAMETRIZATION[/RATES][+DECAY]`, as printed by `str`.

        `calibration` holds the exponents of the decay `measured`, which the name does not.

        Example:
          >>> Recipe.parse("standard/full+independent").rates
          'full'
        """
        name, _, decay = text.partition("+")
        parametrization, _, rates = name.partition("/")
        measured = decay == decay_rules.MEASURED and calibration.paths
        return cls(parametrization, rates=rates, decay=calibration if measured else decay)

    def __str__(self) -> str:
        name = self.parametrization
        if self.rates != self.table.rates:
            name += f"/{self.rates}"
        # What frameworks do needs no suffix: `standard` is standard.
        if not self.decay == "constant" == self.table.decay:
            name += f"+{self.decay}"
        return f"{name} ({self.gauge})" if str(self.gauge) else name

    def text_table(self) -> TextTable:
        """Return a table with a row per role: by which powers of growth its numbers grow."""
        caption = f"{self}: powers of the growth of fan-in and fan-out, for AdamW and its kin"
        return TextTable(caption, recipe_cells(self, "entrywise"))

    @property
    def table(self) -> Parametrization:
        """The table this recipe reads."""
        return PARAMETRIZATIONS[self.parametrization]

    def shifted(self, shifts: Shifts) -> "Recipe":
        """The same recipe in another gauge: an equal training run of other weights.

        A key is a role, shifted by a power of the width multipliers (`{Role.OUTPUT: "in"}`), or a
        layer, the module that holds a weight, shifted by a number (`{"blocks.attention.query":
        3.7}`). Its multiplier grows by that much, and init, learning rate, decay, epsilon and clip
        weight are converted (`transfer.scaling.symmetry`). Shifts compose. The run is equal under
        invariant clipping alone; the raw norm tells gauges apart.

        Raises `TransferError` for a role without a multiplier, a power that is none, and a number
        that is not above 0; `rules` raises it for a layer that the model does not have.

        Example:
          >>> table_3 = Recipe("mup").shifted({Role.OUTPUT: "in"})
          >>> table_3.columns(Role.OUTPUT) == Recipe("mup_table3").columns(Role.OUTPUT)
          True

        Source: arXiv 2203.03466, Lemma J.1.
        """
        return dataclasses.replace(self, gauge=self.gauge.shifted(shifts))

    def columns(self, role: Role, family: Family = "entrywise") -> dict[str, Power]:
        """The row of a role, exactly: init std, multiplier, learning rate, epsilon, clip weight.

        Decay, which may follow any power of width, and the factors of single layers are left out.

        Example:
          >>> columns = Recipe("mup").columns(Role.OUTPUT)
          >>> str(columns["multiplier"]), str(columns["clip"])
          ('in^-1', 'in')
        """
        row = self.table.rows[role]
        columns = {
            "std": row.std,
            "multiplier": row.multiplier,
            "learning_rate": self._learning_rate(role, family),
            "epsilon": self._epsilon(role),
            "clip": row.sgd["full"],
        }
        theta, powers = self.gauge.power(role), symmetry.exponents(family)
        return {name: power * theta ** powers[name] for name, power in columns.items()}

    def rules(self, layout: Layout, family: Family = "entrywise") -> dict[str, Rule]:
        """Return the rule of every parameter of a layout.

        Raises `TransferError` when the layout ties an embedding to the readout and the recipe wants
        different things of the two, when its depth is not the base's and the recipe has no rule for
        it, when the gauge names a layer that it does not hold, when the decay was measured on other
        matrices, or when the recipe needs of a model of one's own a forward multiplier that it does
        not apply, or an init other than its own.
        """
        self.gauge.require(layout)
        if isinstance(self.decay, Calibration):
            self.decay.require(layout)
        if layout.multiplied is not None:
            self._refuse_missing_multipliers(layout, layout.multiplied)
            self._refuse_absolute_init()
        return {path: self.rule(parameter, family) for path, parameter in layout.items()}

    def rule(self, parameter: Parameter, family: Family = "entrywise") -> Rule:
        """Return the rule of one parameter."""
        _known("family", family, FAMILIES)
        if parameter.tied:
            self._refuse_unequal_tie(parameter, family)
        role, m_in = parameter.role, parameter.m_in
        at = {
            name: power.at(m_in, parameter.m_out)
            for name, power in self.columns(role, family).items()
        }
        for name in ("learning_rate", "epsilon", "clip"):
            at[name] *= self._depth(name, parameter, family)

        weight_decay = 0.0
        if role == Role.HIDDEN and family == "entrywise":
            step = at["multiplier"] * at["learning_rate"]
            weight_decay = self._decay(parameter, step) * at["multiplier"]
        elif role == Role.HIDDEN or (role == Role.OUTPUT and self.decay_readout):
            weight_decay = 1.0 / at["learning_rate"]

        rule = Rule(role=role, weight_decay=weight_decay, **at)
        rule = symmetry.shift(rule, self.gauge.theta(parameter), family)
        return dataclasses.replace(rule, clip=1.0) if self.clipping == "raw" else rule

    def init_std(self, parameter: Parameter) -> float | None:
        """Init std of a parameter; None for a constant, whose init no width changes."""
        self._require_depth(parameter)
        if parameter.base_std is None:
            return None
        spectral = parameter.role in (Role.HIDDEN, Role.OUTPUT) and self.initializer == "spectral"
        if spectral and parameter.gain is not None:
            std = parameter.gain * spectral_std(parameter.fan_in, parameter.fan_out)
            return std / self.multiplier(parameter)
        power = self.columns(parameter.role)["std"]
        std = parameter.base_std * power.at(parameter.m_in, parameter.m_out)
        return std / self.gauge.theta(parameter)

    def multiplier(self, parameter: Parameter) -> float:
        """Forward multiplier of a weight, of a contraction of activations, or of a branch.

        A contraction, annotated `head_dim ->`, has inputs and no outputs: attention logits, scaled
        by d0^-1/2 at the base head dimension d0 and from there by (d / d0)^-1 in the muP class,
        (d / d0)^-1/2 otherwise (arXiv 2203.03466, Definition 4.1). A residual branch, annotated
        `->`, has neither; its stack is the depth.
        """
        self._require_depth(parameter)
        if parameter.axes.inputs == () == parameter.axes.outputs:
            return self._depth("branch", parameter, "entrywise")
        if parameter.axes.inputs and not parameter.axes.outputs:
            base = parameter.fan_in / parameter.m_in
            return math.pow(base, -0.5) * math.pow(parameter.m_in, self.table.attention)
        power = self.columns(parameter.role)["multiplier"]
        return power.at(parameter.m_in, parameter.m_out) * self.gauge.theta(parameter)

    def at_horizon(self, family: Family, m_batch: Fraction, m_tokens: Fraction) -> Horizon:
        """Factors of the optimizer's settings at another batch size and number of tokens.

        Both are ratios to the base run's. Raises `TransferError` where the recipe has no rule for
        them or the rule does not hold for the family.
        """
        return horizon_rules.horizon(self.horizon, family, m_batch, m_tokens)

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

    def _decay(self, parameter: Parameter, step: float) -> float:
        """Decay of the effective weight, whose effective step is `step`, over the base's."""
        m_in = float(parameter.m_in)
        if isinstance(self.decay, Calibration):
            return self.decay.factor(parameter.path, m_in)
        return decay_rules.factor(self.decay, m_in, step)

    def _epsilon(self, role: Role) -> Power:
        if self.rates == "uniform" and self.table.framework_epsilon:
            return _ONE
        return self.table.rows[role].epsilon

    def _depth(self, column: str, parameter: Parameter, family: Family) -> float:
        self._require_depth(parameter)
        if not self.depth:
            return 1.0
        return depth_rules.factor(
            depth_rules.exponents(self.depth, family)[column], parameter.m_depth
        )

    def _require_depth(self, parameter: Parameter) -> None:
        if parameter.m_depth != 1 and not self.depth:
            raise TransferError(
                f"{parameter.path} lies in blocks of {float(parameter.m_depth):g} times the base "
                f"depth, for which the recipe has no rule; expected depth = completep or "
                "depth_mup, or the base model's own depth."
            )

    def _refuse_missing_multipliers(self, layout: Layout, applied: frozenset[str]) -> None:
        for path, parameter in layout.items():
            uses = (parameter.role, Role.OUTPUT) if parameter.tied else (parameter.role,)
            for role in uses:
                # Exponents, not factors: a mismatch shows at the base width too.
                power = self.columns(role)["multiplier"]
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
        lookup, readout = (self.columns(role, family) for role in (Role.INPUT, Role.OUTPUT))
        for name in ("std", "learning_rate", "epsilon"):
            # The table's width is its fan-out as a lookup and its fan-in as a readout. Exponents
            # are compared, not factors, so that a tie is refused at the base width too.
            if lookup[name].fan_out != readout[name].fan_in:
                raise TransferError(
                    f"{parameter.path} is both embedding and readout, but {self} gives the two a "
                    f"different {_WORDS[name]}; expected an untied readout, or a recipe whose rows "
                    "agree such as mup+sqrt."
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
    power = recipe.columns(role)["multiplier"]
    return power.at(parameter.m_out, parameter.m_in) * recipe.gauge.theta(parameter)


def _known(what: str, name: str, names: Iterable[str], *, optional: bool = False) -> None:
    options = list(names)
    if name not in options and not (optional and not name):
        raise TransferError(
            f'The {what} "{name}" is unknown; expected one of {", ".join(options)}'
            f"{nearest(name, options)}."
        )
