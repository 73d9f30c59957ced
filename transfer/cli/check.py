"""Checks coordinates: how sizes inside the model of --config follow width under its recipe.

Sizes of weights, gradients, first updates, activations, their changes and the output are measured
at several widths and seeds, and their slopes compared with what theory predicts: once with random
weights, once with all that may start at zero doing so. Computed in float32 on random inputs.

Writes report/coordinates.json and report/coordinates.png into --run. Says first what the widths and
seeds cannot decide, then what is wrong, in a sentence each, and lists the sizes that differ or are
undecided; --all lists every size.

Exits with 0 if every size agrees with theory, with 3 if the data leave some undecided, and with 4
if some are proven to differ.
"""

import dataclasses
import functools
import typing
from collections.abc import Sequence

from absl import flags as absl_flags

from transfer.cli import flags, platform
from transfer.cli.config_flag import define_config
from transfer.errors import TransferError

if typing.TYPE_CHECKING:
    import optax

    from transfer.checks import ModelUnderTest
    from transfer.config import Experiment
    from transfer.scaling import Layout, Recipe

# Below it the sums of independent terms that slopes are about have too few terms.
_NARROWEST = 64
_DOUBLINGS = 3
_EPSILON = 1e-20
# 1 says that nothing was checked, and 2 that the usage was wrong.
STATUSES = {"agrees": 0, "undecided": 3, "differs": 4}
_CLOSING = {
    "agrees": "Every slope that is judged agrees with theory.",
    "undecided": "No slope is proven to differ from theory, and not every one is decided.",
    "differs": "Not every slope agrees with theory.",
}


def define(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Define the verb's flags."""
    define_config(values, argv)
    flags.define_run(values)
    flags.define_compilation_cache(values)
    absl_flags.DEFINE_list(
        "widths",
        [],
        "widths to measure, such as 64,128,256 (default: three doublings from 64 or the base)",
        flag_values=values,
    )
    absl_flags.DEFINE_string(
        "against",
        None,
        "hold the sizes against another recipe's predictions (default: the configuration's own)",
        flag_values=values,
    )
    absl_flags.DEFINE_integer(
        "seeds", 8, "how many inits to average over (default: 8)", flag_values=values
    )
    absl_flags.DEFINE_integer(
        "steps",
        4,
        "how many real steps to take after the infinitesimal one (default: 4)",
        flag_values=values,
    )
    absl_flags.DEFINE_boolean(
        "all", False, "list every size, not only those that do not agree", flag_values=values
    )


def run(values: absl_flags.FlagValues) -> int:
    """Measure, print and write; the exit status is one of `STATUSES`."""
    platform.prepare(compilation_cache=values["compilation_cache"].value)
    from transfer.checks import check_coordinates
    from transfer.cli.console import console, measuring, say
    from transfer.report import coordinate_table
    from transfer.report.coordinate_figure import coordinate_figure
    from transfer.report.style import to_png
    from transfer.training.compilation_cache import use_compilation_cache

    experiment, directory = flags.experiment(values), flags.run_directory(values)
    widths = _widths(values["widths"].value or (), experiment)
    seeds, steps = (int(values[name].value or 0) for name in ("seeds", "steps"))
    against = experiment.recipe.build(values["against"].value or "")
    checks = {}
    for name, zero in (("random init", False), ("zero init", True)):
        model = _model_under_test(experiment, zero)
        with use_compilation_cache(), measuring(f"measuring {name}") as progress:
            checks[name] = check_coordinates(
                model,
                widths,
                make_optimizer=functools.partial(_optimizer, experiment, model.recipe),
                family=experiment.training.family,
                against=against,
                seeds=seeds,
                steps=steps,
                progress=progress,
            )
    content = {name: check.to_json() for name, check in checks.items()}
    file = directory.write_json("report/coordinates.json", content)
    directory.write_bytes("report/coordinates.png", to_png(coordinate_figure(checks)))
    recipe = str(experiment.recipe.build())
    held = "" if recipe == str(against) else f" held against {against}"
    for name, check in checks.items():
        say(f"\n{recipe}{held} from {name}, widths {', '.join(map(str, widths))}")
        for sentence in (check.answer, *check.limits, *check.findings):
            say(sentence)
        if values["all"].value or check.open_rows:
            console.print(coordinate_table(check, every=bool(values["all"].value)))
    outcome = max((check.outcome for check in checks.values()), key=STATUSES.__getitem__)
    say(f"\n{_CLOSING[outcome]} Sizes: {file}. Figure beside it: coordinates.png.")
    return STATUSES[outcome]


def _widths(given: Sequence[str], experiment: "Experiment") -> list[int]:
    if not given:
        first = experiment.base_width
        while first < _NARROWEST:
            first *= 2
        return [first * 2**doubling for doubling in range(_DOUBLINGS + 1)]
    try:
        widths = [int(width) for width in given]
    except ValueError:
        raise TransferError(
            f"--widths={','.join(given)} is no list of widths; expected whole numbers such as "
            "64,128,256."
        ) from None
    for width in widths:
        experiment.at(width)
    return widths


def _model_under_test(experiment: "Experiment", zero: bool) -> "ModelUnderTest":
    import jax

    from transfer.checks import built_in_model

    model = experiment.model.plain(zero_init=zero)
    return built_in_model(
        model,
        base_width=experiment.base_width,
        recipe=experiment.recipe.build(),
        inputs=model.example(jax.random.key(0)),
        hyperparameters=experiment.hyperparameters,
    )


def _optimizer(
    experiment: "Experiment", recipe: "Recipe", layout: "Layout"
) -> "optax.GradientTransformation":
    # Without clipping and decay, which set how long a step is; and with an epsilon too small to
    # hide how the rest follows width.
    training = dataclasses.replace(experiment.training, epsilon=_EPSILON)
    rate = experiment.hyperparameters.learning_rate
    return training.make_optimizer(rate, layout=layout, recipe=recipe)
