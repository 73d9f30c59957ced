"""The absolute values that a target is trained with, from the group that trains it."""

from transfer.analysis import TargetRow, TargetValues
from transfer.models import multiplier_value
from transfer.optim import OPTIMIZERS
from transfer.scaling import Parameter, Role
from transfer.training import TrialGroup


def target_values(group: TrialGroup) -> TargetValues:
    """Return what the parameters of a group's first trial are trained with, a row for each role.

    Learning rates are peaks of the schedule. Raises `TransferError` for a recipe that does not fit
    the group.

    Example:
      >>> from transfer.config import read
      >>> values = target_values(read({"model": {"width": 64}, "base_width": 16}).single_run())
      >>> hidden = next(row for row in values.rows if row.role == "hidden")
      >>> hidden.learning_rate, hidden.weight_decay  # 2^-6 / 4, 0.1 sqrt(4)
      (0.00390625, 0.2)
    """
    training = group.training.at(group.horizon(group.trials[0].recipe))
    own_settings = {
        name: float(getattr(training, field))
        for name, field in OPTIMIZERS[training.optimizer].settings.items()
        if name != "eps"
    }
    rows = parameter_values(group)
    return TargetValues.gathered(group.shape.width, training.optimizer, own_settings, rows)


def multiplier_values(group: TrialGroup) -> dict[str, float]:
    """Return the multipliers of the forward pass of a group's first trial, by path."""
    trial = group.trials[0]
    return {
        path: multiplier_value(declared, trial.recipe, trial.hyperparameters)
        for path, declared in group.layout.multipliers.items()
    }


def parameter_values(group: TrialGroup) -> list[TargetRow]:
    """Return a row for each parameter of a group's first trial, then for other multipliers."""
    trial = group.trials[0]
    recipe, hyperparameters = trial.recipe, trial.hyperparameters
    horizon, layout = group.horizon(recipe), group.layout
    training = group.training.at(horizon)
    knobs = {
        Role.INPUT: hyperparameters.input_learning_rate,
        Role.OUTPUT: hyperparameters.readout_learning_rate,
    }
    settings = OPTIMIZERS[training.optimizer].settings
    forward = multiplier_values(group)
    rows = []
    for path, rule in recipe.rules(layout.parameters, training.family).items():
        parameter = layout.parameters[path]
        # The layer that holds a weight also holds the multiplier of its product.
        own = [
            name
            for name in forward
            if _layer(name) == _layer(path) and layout.multipliers[name].role == parameter.role
        ]
        std = recipe.init_std(parameter)
        rows.append(
            TargetRow(
                role=rule.role.value,
                parameters=(path,),
                learning_rate=hyperparameters.learning_rate
                * horizon.learning_rate
                * rule.learning_rate
                * knobs.get(rule.role, 1.0),
                weight_decay=hyperparameters.weight_decay
                * horizon.weight_decay
                * rule.weight_decay,
                epsilon=training.epsilon * rule.epsilon if "eps" in settings else None,
                init_std=None if std is None else std * hyperparameters.init_scale,
                multiplier=forward.pop(own[0]) if own else 1.0,
            )
        )
    return rows + [
        TargetRow(
            role=_of_activations(layout.multipliers[path]),
            parameters=(path,),
            learning_rate=None,
            weight_decay=None,
            epsilon=None,
            init_std=None,
            multiplier=value,
        )
        for path, value in forward.items()
    ]


def _layer(path: str) -> str:
    return path.rpartition(".")[0]


def _of_activations(declared: Parameter) -> str:
    if not declared.activations:
        return f"tied {declared.role.value}"
    return "attention logits" if declared.axes.inputs else "residual branch"
