"""A recipe turns a parameter's role into its init, multiplier, learning rate, decay and epsilon."""

import dataclasses
from fractions import Fraction
from typing import TYPE_CHECKING

from transfer.errors import TransferError, require_known
from transfer.renamed import renamed
from transfer.scaling import decay as decay_rules
from transfer.scaling import depth as depth_rules
from transfer.scaling import horizon as horizon_rules
from transfer.scaling import requirements
from transfer.scaling.decay import Calibration
from transfer.scaling.horizon import Horizon
from transfer.scaling.layout import Layout
from transfer.scaling.measured_horizon import MeasuredHorizon, named_rule, require_horizon
from transfer.scaling.parameter import Parameter, Role
from transfer.scaling.parametrizations import PARAMETRIZATIONS, Parametrization
from transfer.scaling.powers import Growth, Power
from transfer.scaling.reparametrization import (
    Factors,
    Reparametrization,
    reparametrize,
    reparametrize_exponents,
)
from transfer.scaling.rule import FAMILIES, ExponentRow, Family, Rule
from transfer.scaling.spectral_init import spectral_std
from transfer.text_table import Tabular, TextTable

_ONE = Power()
_UNCHANGED = Reparametrization()
_NO_CALIBRATION = Calibration()
_SPECTRAL_STEP = Power.parse("in^-1/2 out^1/2")


@dataclasses.dataclass(frozen=True)
class Recipe(Tabular):
    """A parametrization, its learning-rate exponents, a decay rule, and what goes with them.

    Arguments:
      parametrization: `standard`, `ntk`, `mup` (Table 8), `mup_table3`, `mup_table9`, `mean_field`
        or `unit`; or a whole name, `PARAMETRIZATION[/RATES][+DECAY]`, as `str` prints it.
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
        (see `transfer.scaling.horizon`), or what a ladder measured (a `MeasuredHorizon`); empty for
        no rule, which refuses both.
      reparametrization: the factors of `reparametrized`.

    Raises `TransferError` for an unknown name.

    Example:
      >>> recipe = Recipe("mup")
      >>> recipe.rates, recipe.decay, str(recipe)
      ('full', 'sqrt', 'mup+sqrt')
      >>> Recipe("mup+sqrt") == recipe
      True

    Source: arXiv 2203.03466 (Tables 3, 8, 9), 2407.05872 (Table 1), 2510.15262 (decay).
    """

    parametrization: str = "mup"
    rates: str = ""
    decay: str | float | Calibration = ""
    clipping: str = ""
    decay_readout: bool = False
    initializer: str = "gaussian"
    depth: str = ""
    horizon: "str | MeasuredHorizon" = ""
    reparametrization: Reparametrization = _UNCHANGED

    if not TYPE_CHECKING:
        __getattr__ = renamed(
            "Recipe",
            {"columns": "Recipe.exponents", "gauge": "Recipe.reparametrization"},
            deprecated={"shifted": "reparametrized"},
        )

    def __post_init__(self) -> None:
        self._read_name()
        require_known("parametrization", self.parametrization, PARAMETRIZATIONS)
        self._resolve("rates", self.rates or self.table.rates)
        if not isinstance(self.decay, Calibration):
            self._resolve(
                "decay", decay_rules.parse(self.table.decay if self.decay == "" else self.decay)
            )
        elif not self.decay.paths:
            decay_rules.parse(str(self.decay))  # which says how to come by exponents
        framework = self.parametrization == "standard" and self.rates == "uniform"
        self._resolve("clipping", self.clipping or ("raw" if framework else "invariant"))
        require_known("rates", self.rates, ("uniform", "full", "none"))
        require_known("clipping", self.clipping, ("invariant", "raw"))
        require_known("initializer", self.initializer, ("gaussian", "spectral"))
        require_known("depth rule", self.depth, depth_rules.ALPHA, optional=True)
        require_horizon(self.horizon)
        if self.initializer == "spectral" and self.table.rates == "uniform":
            raise TransferError(
                f"The spectral initializer gives muP's init, which {self.parametrization} is not; "
                "expected a parametrization of the muP class such as mup_table3."
            )

    def _resolve(self, field: str, value: str | float) -> None:
        object.__setattr__(self, field, value)

    def _read_name(self) -> None:
        """Take rates and decay out of a name that holds them."""
        text = self.parametrization
        if not isinstance(text, str):
            raise TransferError(
                f"The parametrization is {text!r}; expected a name such as mup or mup+sqrt."
            )
        name, _, decay = text.partition("+")
        name, _, rates = name.partition("/")
        self._resolve("parametrization", name)
        for field, found in (("rates", rates), ("decay", decay)):
            beside = getattr(self, field)
            if found and beside not in ("", found):
                raise TransferError(
                    f"The recipe {text} has the {field} {found} in its name and {beside} beside "
                    "it; expected one of the two."
                )
            self._resolve(field, found or beside)

    @classmethod
    def of(cls, recipe: "Recipe | str") -> "Recipe":
        """Return a recipe itself, or the one of a name; this is what takes `recipe` does.

        Example:
          >>> Recipe.of("standard/full+independent").rates
          'full'
        """
        if isinstance(recipe, str):
            return cls(recipe)
        if not isinstance(recipe, cls):
            raise TransferError(
                f"The recipe is {recipe!r}; expected a transfer.Recipe, or a name such as mup+sqrt."
            )
        return recipe

    @classmethod
    def parse(cls, text: str, calibration: Calibration = _NO_CALIBRATION) -> "Recipe":
        """Read `PARAMETRIZATION[/RATES][+DECAY]`, as printed by `str`.

        `calibration` holds the exponents of the decay `measured`, which the name does not.

        Example:
          >>> Recipe.parse("standard/full+independent").rates
          'full'
        """
        name, _, decay = text.partition("+")
        measured = decay == decay_rules.MEASURED and calibration.paths
        return cls(name, decay=calibration) if measured else cls(text)

    def __str__(self) -> str:
        name = self.parametrization
        if self.rates != self.table.rates:
            name += f"/{self.rates}"
        # What frameworks do needs no suffix: `standard` is standard.
        if not self.decay == "constant" == self.table.decay:
            name += f"+{self.decay}"
        return f"{name} ({self.reparametrization})" if str(self.reparametrization) else name

    def text_table(self) -> TextTable:
        """Return the powers of every role under AdamW and its kin."""
        rules = ("depth", self.depth), ("steps", named_rule(self.horizon))
        others = [word for word, rule in rules if rule]
        *first, last = ["fan-in", "fan-out", *others]
        caption = f"{self}: powers of the growth of {', '.join(first)} and {last}, for AdamW and "
        return TextTable(f"{caption}its kin", self.cells("entrywise"))

    def cells(self, family: Family) -> list[list[str]]:
        """Header and a row per role as text: powers of growth (`exponents`).

        Example:
          >>> for row in Recipe("mup").cells("entrywise")[:3]:
          ...     print(*row, sep=" | ")
          role | init std | multiplier | learning rate | epsilon | weight decay
          input | 1 | 1 | 1 | out^-1 | 0
          hidden | in^-1/2 | 1 | in^-1 | out^-1 | in^1/2
        """
        header = ["role", "init std", "multiplier", "learning rate", "epsilon", "weight decay"]
        rows = []
        for role in Role:
            row = self.exponents(role, family)
            decay = "0" if row.weight_decay is None else str(row.weight_decay)
            powers = (row.std, row.multiplier, row.learning_rate, row.epsilon)
            rows.append([role.value, *map(str, powers), "measured" if row.measured else decay])
        return [header, *rows]

    @property
    def table(self) -> Parametrization:
        """The table this recipe reads."""
        return PARAMETRIZATIONS[self.parametrization]

    def exponents(self, role: Role, family: Family = "entrywise") -> ExponentRow:
        """Return what a role takes, as exact powers of how fan-in, fan-out, depth and steps grow.

        Depth grows for what lies in the blocks alone. The factors of single layers, which are
        numbers, and those of a measured decay, which differ between matrices, come with `rule`.

        Example:
          >>> row = Recipe("mup").exponents(Role.HIDDEN)
          >>> row.learning_rate, row.weight_decay, row.clip
          (Power.parse("in^-1"), Power.parse("in^1/2"), Power.parse("in^-1 out"))
          >>> Recipe("mup", depth="completep", horizon="sde").exponents(Role.HIDDEN).epsilon
          Power.parse("out^-1 depth^-1 steps^1/2")
        """
        require_known("family", family, FAMILIES)
        table = self.table.rows[role]
        blocks = depth_rules.exponents(self.depth, family)
        run = horizon_rules.exponents(named_rule(self.horizon), family)
        # What width asks for, and on top of it depth.
        learning_rate = self._learning_rate(role, family) * blocks["learning_rate"]
        epsilon = self._epsilon(role) * blocks["epsilon"]
        clip = table.sgd["full"] * blocks["clip"]
        # Decay follows its own rule, which is stated for the effective weight of hidden matrices.
        weight_decay, measured = None, False
        if role == Role.HIDDEN and family == "entrywise":
            step, rule = table.multiplier * learning_rate, self.decay
            measured = isinstance(rule, Calibration)
            decay = _ONE if isinstance(rule, Calibration) else decay_rules.power(rule, step)
            weight_decay = table.multiplier * decay
        elif role == Role.HIDDEN or (role == Role.OUTPUT and self.decay_readout):
            weight_decay = learning_rate**-1
        own = ExponentRow(
            std=table.std,
            multiplier=table.multiplier,
            # Batch size and number of tokens act on the optimizer's own settings.
            learning_rate=learning_rate * run["learning_rate"],
            weight_decay=None if weight_decay is None else weight_decay * run["weight_decay"],
            epsilon=epsilon * run["epsilon"],
            clip=clip,
            measured=measured,
        )
        row = reparametrize_exponents(own, self.reparametrization.power(role), family)
        return dataclasses.replace(row, clip=_ONE) if self.clipping == "raw" else row

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
        framework = self.rates == "uniform" and self.table.framework_epsilon
        return _ONE if framework else self.table.rows[role].epsilon

    @property
    def contraction(self) -> Power:
        """By which power the multiplier of a contraction of activations follows its fan-in."""
        return Power(fan_in=self.table.attention)

    @property
    def branch(self) -> Power:
        """By which power the multiplier of a residual branch follows depth."""
        return depth_rules.exponents(self.depth, "entrywise")["branch"]

    def rule(
        self,
        parameter: Parameter,
        family: Family = "entrywise",
        *,
        m_batch: Fraction = Fraction(1),
        m_tokens: Fraction = Fraction(1),
    ) -> Rule:
        """Return what one parameter takes: its exponents evaluated, times its layer's factors.

        Arguments:
          parameter: a weight, or what has a multiplier alone (`Annotated.activations`).
          family: the optimizer's.
          m_batch, m_tokens: batch size and number of tokens over those of the base run.

        Raises `TransferError` for an unknown family, another depth, batch size or number of tokens
        than the base's where the recipe has no rule for it, a tied embedding of which the recipe
        wants different things, and a matrix whose decay was not measured.

        Example:
          >>> from transfer.scaling import Annotated, Axes
          >>> axes = Axes.parse("embed -> vocab")
          >>> readout = lambda n: {"w": Annotated(axes=axes, shape=(n, 9), gain=1.0)}
          >>> layout = Layout.compare(base=readout(64), probe=readout(128), target=readout(256))
          >>> Recipe("mup").rule(layout["w"]).multiplier
          0.25
        """
        if parameter.tied:
            lookup, readout = (self.exponents(role, family) for role in (Role.INPUT, Role.OUTPUT))
            requirements.require_equal_tie(parameter, str(self), lookup, readout)
        run = self.at_horizon(family, m_batch, m_tokens)  # which refuses what has no rule
        rule = self._rule(parameter, family, m_tokens / m_batch)
        if isinstance(self.horizon, MeasuredHorizon):
            rule = dataclasses.replace(
                rule,
                learning_rate=rule.learning_rate * run.learning_rate,
                weight_decay=rule.weight_decay * run.weight_decay,
            )
        if parameter.activations or not self.exponents(parameter.role, family).measured:
            return rule
        assert isinstance(self.decay, Calibration)
        decay = self.decay.factor(parameter.path, float(parameter.m_in))
        return dataclasses.replace(rule, weight_decay=decay * rule.weight_decay)

    def _rule(self, parameter: Parameter, family: Family, steps: Fraction = Fraction(1)) -> Rule:
        """The rule but for a measured decay, which init and multiplier do not ask for."""
        requirements.require_depth(parameter, self.depth)
        row = self.exponents(parameter.role, family)
        if parameter.activations:
            row = ExponentRow(multiplier=self.contraction if parameter.axes.inputs else self.branch)
        growth = Growth(
            fan_in=parameter.m_in, fan_out=parameter.m_out, depth=parameter.m_depth, steps=steps
        )
        rule = Rule(
            role=parameter.role,
            std=row.std.at(growth),
            multiplier=row.multiplier.at(growth),
            learning_rate=row.learning_rate.at(growth),
            weight_decay=0.0 if row.weight_decay is None else row.weight_decay.at(growth),
            epsilon=row.epsilon.at(growth),
            clip=row.clip.at(growth),
        )
        rule = reparametrize(rule, self.reparametrization.factor(parameter), family)
        return dataclasses.replace(rule, clip=1.0) if self.clipping == "raw" else rule

    def init_std(self, parameter: Parameter) -> float | None:
        """Init std of a parameter; None for a constant, whose init no width changes."""
        rule = self._rule(parameter, "entrywise")
        if parameter.base_std is None:
            return None
        spectral = parameter.role in (Role.HIDDEN, Role.OUTPUT) and self.initializer == "spectral"
        if spectral and parameter.gain is not None:
            std = spectral_std(parameter.fan_in, parameter.fan_out)
            return parameter.gain * std / rule.multiplier
        return parameter.base_std * rule.std

    def multiplier(self, parameter: Parameter) -> float:
        """Forward multiplier of a weight, of a contraction of activations, or of a branch.

        Attention logits, `head_dim ->`, are scaled by d0^-1/2 at the base head dimension d0 and
        from there by (d / d0)^-1 in the muP class, (d / d0)^-1/2 otherwise (arXiv 2203.03466,
        Definition 4.1). Of a residual branch, `->`, the stack is the depth.
        """
        return parameter.base_multiplier * self._rule(parameter, "entrywise").multiplier

    def rules(self, layout: Layout, family: Family = "entrywise") -> dict[str, Rule]:
        """Return the rule of every parameter of a layout.

        Raises `TransferError` when the layout ties an embedding to the readout and the recipe wants
        different things of the two, when its depth is not the base's and the recipe has no rule for
        it, when the recipe reparametrizes a layer that it does not hold, when the decay was
        measured on other matrices, or when the recipe needs of a model of one's own a forward
        multiplier that it does not apply, or an init other than its own.
        """
        whole = Layout.of(layout).whole or layout
        self.reparametrization.require(whole)
        if isinstance(self.decay, Calibration):
            self.decay.require(whole)
        requirements.require_multipliers(
            layout, str(self), {role: self.exponents(role) for role in Role}, self.reparametrization
        )
        requirements.require_relative_init(layout, self.initializer)
        return {path: self.rule(parameter, family) for path, parameter in layout.items()}

    def at_horizon(self, family: Family, m_batch: Fraction, m_tokens: Fraction) -> Horizon:
        """Factors of the optimizer's settings at another batch size and number of tokens.

        Both are ratios to the base run's. Raises `TransferError` where the recipe has no rule for
        them or the rule does not hold for the family.
        """
        if isinstance(self.horizon, MeasuredHorizon):
            return self.horizon.at(m_batch, m_tokens)
        return horizon_rules.horizon(self.horizon, family, m_batch, m_tokens)

    def reparametrized(self, factors: Factors) -> "Recipe":
        """The same recipe in another form: an equal training run of other weights.

        A key is a role, whose theta is a power of the width multipliers (`{Role.OUTPUT: "in"}`), or
        a layer, the module that holds a weight, whose theta is a number
        (`{"blocks.attention.query": 3.7}`). The multiplier grows by theta, and init, learning rate,
        decay, epsilon and clip weight are converted (`transfer.scaling.reparametrization`).
        Reparametrizations compose. The run is equal under invariant clipping alone, because the raw
        norm differs between forms.

        Raises `TransferError` for a role without a multiplier, a power that is none, and a number
        that is not above 0; `rules` raises it for a layer that the model does not have.

        Example:
          >>> table_3 = Recipe("mup").reparametrized({Role.OUTPUT: "in"})
          >>> table_3.exponents(Role.OUTPUT) == Recipe("mup_table3").exponents(Role.OUTPUT)
          True

        Source: arXiv 2203.03466, Lemma J.1.
        """
        return dataclasses.replace(self, reparametrization=self.reparametrization.then(factors))
