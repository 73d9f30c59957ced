"""Sentences that say why the sizes of a model do not follow width as its recipe says.

A sentence names a cause only if the rows prove it: an init where the weight's own size is off, a
learning rate where the update's is, and a factor in the forward pass where the result of a product
is off although its weight and all that it is made from are as predicted.
"""

from collections.abc import Iterable, Iterator, Sequence

from transfer.checks.predictions import Predictions
from transfer.checks.rows import CheckRow
from transfer.checks.slope_interval import HALF_STEP
from transfer.checks.structure import LOSS, OUTPUT
from transfer.scaling import Recipe, Role, Slopes


def diagnose(rows: Sequence[CheckRow], predictions: Predictions) -> tuple[str, ...]:
    """Return one sentence for each cause that the rows show, most upstream first."""
    causes = _Causes(rows, predictions)
    found = [*causes.inits(), *causes.rates(), *causes.factors()]
    if not found:
        found = [*causes.unexplained()]
    return tuple(found)


class _Causes:
    def __init__(self, rows: Sequence[CheckRow], predictions: Predictions):
        self.rows, self.predictions = rows, predictions
        self.layout, self.slopes = predictions.layout, predictions.slopes
        self.first = {(row.quantity, row.name): row for row in rows if not row.step}

    def inits(self) -> Iterator[str]:
        recipe = self.slopes.recipe
        off = self._differing("weight")
        standard = Slopes(Recipe("standard"), self.slopes.family)
        as_standard = all(
            abs(row.slope - standard.weight(self.layout[row.name].role)) <= row.tolerance
            for row in self.rows
            if row.quantity == "weight" and row.slope is not None
        )
        if off and as_standard:
            yield (
                f"The model is initialized as under standard and not as under {recipe} "
                f"({_listed(row.name for row in off)}): pass its parameters through "
                "transfer.rescale_init before training."
            )
            return
        for row in off:
            role = self.layout[row.name].role
            embedding = role == Role.INPUT and abs(row.error + 0.5) <= row.tolerance
            hint = ", as flax's embeddings do by default" if embedding else ""
            yield (
                f"The init of the {role} weight {row.name} follows width^{row.slope:+z.2f}{hint}; "
                f"expected width^{row.expected}: set its initializer, or pass the parameters "
                "through transfer.rescale_init."
            )

    def rates(self) -> Iterator[str]:
        groups: dict[tuple[Role, float], list[CheckRow]] = {}
        for row in self._differing("update"):
            # SGD's step is proportional to the gradient, whose own error has another cause.
            linear = self.slopes.family == "linear"
            gradient = self.first.get(("gradient", row.name))
            error = row.error - (gradient.error if linear and gradient else 0.0)
            if abs(error) > row.tolerance:
                role = self.layout[row.name].role
                groups.setdefault((role, round(error, 1)), []).append(row)
        for (role, error), group in groups.items():
            others = f" and of {len(group) - 1} more" if len(group) > 1 else ""
            yield (
                f"The learning rate of the {role} parameter {group[0].name}{others} is off by "
                f"width^{error:+z.1f}: updates follow width^{group[0].slope:+z.2f}, expected "
                f"width^{group[0].expected}; make the optimizer from this layout and recipe, with "
                "transfer.adamw, transfer.sgd or another of transfer's."
            )

    def factors(self) -> Iterator[str]:
        """Name products whose results are off although all that they are made from is right."""
        readouts = self.predictions.structure.readouts
        for name in [*self.predictions.structure.names.values(), OUTPUT]:
            row = self._forward_row(name)
            if row is None or row.verdict != "differs" or not self._is_proven(name, readouts):
                continue
            if name in self.predictions.wide_terms:
                yield self._of_contraction(row)
            elif name == OUTPUT:
                yield self._of_readout(row, "the output", readouts[0] if readouts else "")
            elif self._role(name) == Role.OUTPUT:
                yield self._of_readout(row, name, name)
            else:
                yield self._of_factor(row, name)

    def unexplained(self) -> Iterator[str]:
        """Say what differs where the rows do not tell why."""
        off = [row for row in self.rows if row.verdict == "differs"]
        if not off:
            return
        row = off[0]
        others = f" ({len(off) - 1} more sizes differ)" if len(off) > 1 else ""
        right = " every init, every learning rate and every activation is as predicted, and"
        if any(each.quantity == "activation" for each in off):
            right = ""
        yield (
            f"The {row.what} of {row.name} follows width^{row.slope:+z.2f}, expected "
            f"width^{row.expected}{others}:{right} the rows do not tell why{self._crossover()}."
        )

    def _of_readout(self, row: CheckRow, what: str, weight: str) -> str:
        said = (
            f"The {row.what} of {what} follows width^{row.slope:+z.2f}, expected "
            f"width^{row.expected}"
        )
        weight = weight or "the readout"
        results = "its logits" if row.name in (OUTPUT, LOSS) else "its results"
        multiplier = self._multiplier(Role.OUTPUT)
        if multiplier and abs(row.error + multiplier) <= HALF_STEP:
            return (
                f"{said}: {weight}'s forward multiplier is missing; multiply {results} by "
                "transfer.multiplier."
            )
        if abs(row.error + 1.0) <= HALF_STEP:
            return (
                f"{said}: {weight} is scaled twice; keep either its multiplier (mup) or its "
                "smaller init and learning rate (mup_table3)."
            )
        if multiplier:
            return (
                f"{said}: {weight}'s forward multiplier is width^{multiplier + row.error:+z.1f}, "
                f"expected width^{multiplier:+z.1f}; multiply {results} by transfer.multiplier."
            )
        return self._of_factor(row, what)

    def _of_contraction(self, row: CheckRow) -> str:
        if not self.predictions.grows(row.name):
            return self._of_factor(row, row.name)
        wanted = float(self.slopes.recipe.contraction.width)
        return (
            f"The {row.what} of the attention logits ({row.name}, over a growing head dimension) "
            f"follows width^{row.slope:+z.2f}, expected width^{row.expected}: they are scaled by "
            f"head_dim^{row.error + wanted:+z.2f}, expected head_dim^{wanted:+z.2f} (1/d under "
            "muP, not 1/sqrt(d)), or a fixed head dimension and more heads."
        )

    def _of_factor(self, row: CheckRow, what: str) -> str:
        structure = self.predictions.structure
        last = row.name in (OUTPUT, LOSS)
        before = sorted(structure.readouts if last else structure.feeds.get(row.name, ()))
        right = f"{_listed(before)} and " if before else ""
        return (
            f"The {row.what} of {what} follows width^{row.slope:+z.2f}, expected "
            f"width^{row.expected}, while {right}every weight before it are as predicted: a factor "
            f"of width^{row.error:+z.1f} stands in the forward pass "
            f"{f'after {_listed(before)}' if before else 'before it'}; remove it."
        )

    def _is_proven(self, name: str, readouts: Sequence[str]) -> bool:
        """Whether every weight before a product's result, and all that goes into it, are right."""
        structure = self.predictions.structure
        own = readouts if name == OUTPUT else name.split("+")
        upstream = {path for each in (*own, *structure.before(name)) for path in each.split("+")}
        for row in self._differing("weight"):
            # A bias or a gain is added somewhere before.
            if row.name in upstream or self.layout[row.name].axes.inputs is None:
                return False
        into = (self.first.get(("activation", each)) for each in structure.feeds.get(name, ()))
        return all(row is None or abs(row.error) <= HALF_STEP for row in into)

    def _forward_row(self, name: str) -> CheckRow | None:
        """The row that shows a factor: the activation's or, where that is zero, its change."""
        row = self.first.get(("activation", name))
        if name == OUTPUT and (row is None or row.verdict != "differs"):
            return self._of_loss()
        if row is None or row.verdict not in ("undecided", "not judged"):
            return row
        # Queries that start at zero show their scale in the change alone, and few entries better
        # in the change than at init.
        changed = self.first.get(("change", name))
        before = self.predictions.structure.feeds.get(name, frozenset())
        changes = any(self._is_off(each, "change") for each in before)
        updates = any(self._is_off(each, "update") for each in name.split("+"))
        alike = changed and (row.slope is None or abs(row.error - changed.error) <= HALF_STEP)
        return changed if alike and not (changes or updates) else None

    def _of_loss(self) -> CheckRow | None:
        """The change of the loss, if gradients say as well that the outputs have a factor.

        A factor of the outputs scales gradients as it scales the change. The outputs themselves
        may not show it: they are zero with the readout, and differ little where a tied table meets
        its own rows.
        """
        row = self.first.get(("change", LOSS))
        readouts = self.predictions.structure.readouts
        if row is None or any(self._is_off(each, "update") for each in readouts):
            return None
        before = self.predictions.structure.feeds.get(OUTPUT, frozenset())
        if any(self._is_off(each, "change") for each in before):
            return None
        gradients = [
            found
            for each in readouts
            if (found := self.first.get(("gradient", each))) and found.slope is not None
        ]
        alike = all(abs(each.error - row.error) <= HALF_STEP for each in gradients)
        return row if alike else None

    def _is_off(self, name: str, quantity: str = "activation") -> bool:
        row = self.first.get((quantity, name))
        return row is not None and row.verdict == "differs"

    def _role(self, name: str) -> Role | None:
        path = name.split("+")[0]
        return self.layout[path].role if path in self.layout else None

    def _multiplier(self, role: Role) -> float:
        row = self.slopes.recipe.exponents(role, self.slopes.family)
        return float(row.multiplier.width)

    def _crossover(self) -> str:
        """Return the harmless explanation, if attention logits fall with width."""
        if not any(map(self.predictions.grows, self.predictions.wide_terms)):
            return ""
        return (
            ". Attention may still be becoming flat as its logits fall with the growing head "
            "dimension, which wider models or smaller logits at the base width would tell"
        )

    def _differing(self, quantity: str) -> list[CheckRow]:
        return [row for row in self.rows if row.verdict == "differs" and row.quantity == quantity]


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    if len(names) > 3:
        return f"{', '.join(names[:3])} and {len(names) - 3} more"
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1] if names else ""
