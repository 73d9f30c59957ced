"""The library face: what `import transfer` offers, and what it costs."""

import importlib.util
import inspect
import re
import subprocess
import sys

import jax
import numpy as np
import optax
import pytest
from refusals import refused

import transfer
import transfer.scaling
from transfer import checks, optim
from transfer.analysis import predicted_slope
from transfer.scaling import Slopes
from transfer.training import TrialSpec


@pytest.mark.parametrize("name", transfer.__all__)
def test_every_public_name_resolves(name):
    assert getattr(transfer, name) is not None
    assert getattr(transfer, name).__doc__


def test_the_public_names_are_those_of_the_readme():
    needed = {"Hyperparameters", "Layout", "Recipe", "TransferError", "adamw", "explain", "sgd"}
    assert needed <= set(transfer.__all__)
    assert transfer.__all__ == sorted(transfer.__all__)


def test_public_names_are_listed_before_they_are_used():
    assert set(transfer.__all__) <= set(dir(transfer))


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_every_optimizer_of_the_list_is_public(name):
    make = optim.OPTIMIZERS[name].make
    assert make.__name__ == name
    assert getattr(transfer, name) is getattr(optim, name) is make
    assert name in optim.__all__


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'adamww'"):
        transfer.adamww  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'adamww'"):
        optim.adamww  # noqa: B018


@pytest.mark.parametrize(
    ("owner", "old", "new"),
    [
        (transfer, "inference", "transfer.tracing"),
        (transfer, "processes", "transfer.distributed"),
        (transfer, "runs", "transfer.run_directory"),
        (transfer, "sweep", "transfer.sweeps"),
        (transfer.scaling, "Gauge", "transfer.scaling.Reparametrization"),
        (transfer.scaling, "Move", "transfer.scaling.Extrapolation"),
        (transfer.scaling, "moves", "transfer.scaling.extrapolate"),
        (transfer.Recipe(), "columns", "Recipe.exponents"),
        (transfer.Recipe(), "gauge", "Recipe.reparametrization"),
    ],
)
def test_an_old_name_says_the_new_one_which_is_there(owner, old, new):
    with pytest.raises(AttributeError, match=rf"\.{old} is now {re.escape(new)}\.$"):
        getattr(owner, old)
    # A room that nobody has imported yet is no attribute of the package.
    assert hasattr(owner, new.rpartition(".")[2]) or importlib.util.find_spec(new)


@pytest.mark.parametrize(
    ("owner", "old", "new"),
    [
        (transfer, "Verdict", "RegimeReport"),
        (checks, "Row", "CheckRow"),
        (checks, "Subject", "ModelUnderTest"),
        (checks, "built_in", "built_in_model"),
        (checks, "foreign", "user_model"),
        (transfer.scaling, "Verdict", "RegimeReport"),
        (transfer.scaling, "shift", "reparametrize"),
        (transfer.Recipe(), "shifted", "reparametrized"),
        (transfer.Exponents.of(transfer.Recipe(), "linear"), "shifted", "reparametrized"),
    ],
)
def test_an_old_name_of_the_same_thing_works_and_warns_where_it_is_used(owner, old, new):
    with pytest.warns(DeprecationWarning, match=rf"\.{old} is now .*\.{new};") as heard:
        assert getattr(owner, old) == getattr(owner, new)
    assert heard[0].filename == __file__


@pytest.mark.parametrize("name", ["", ".Recipe", ".TransferError"])
def test_importing_the_library_imports_no_jax(name):
    program = f"import sys, transfer; transfer{name}; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def kernel(size):
    axes = transfer.Axes.parse("embed -> ffn")
    return {"up": transfer.Annotated(axes=axes, shape=(size, size), gain=1.0)}


LAYOUT = transfer.Layout.compare(base=kernel(2), probe=kernel(4), target=kernel(8))
WEIGHTS = {"up": jax.numpy.arange(64.0).reshape(8, 8)}
DRAWN, SMALL = ({"up": jax.random.normal(jax.random.key(n), (n, n))} for n in (8, 2))


def first_step(name):
    def step(recipe):
        optimizer = getattr(transfer, name)(0.1, 0.2, layout=LAYOUT, recipe=recipe)
        return optimizer.update(WEIGHTS, optimizer.init(WEIGHTS), WEIGHTS)[0]

    return step


def scaled(recipe):
    sign = optax.scale_by_sign()
    optimizer = transfer.scaled(sign, 0.1, family="entrywise", layout=LAYOUT, recipe=recipe)
    return optimizer.update(WEIGHTS, optimizer.init(WEIGHTS))[0]


def checked(recipe):
    found = transfer.check(
        lambda width, seed: {"up": jax.random.normal(jax.random.key(seed), (width, width))},
        (8, 16),
        base_width=8,
        recipe=recipe,
        inputs=jax.numpy.ones(1),
        apply=lambda weights, x: weights["up"].sum(0),
        axes={"up": "0 -> 1"},
        steps=1,
        seeds=2,
    )
    return str(found.recipe)


# What takes a recipe, by its public name, and a result that depends on it.
TAKES_A_RECIPE = {
    **{name: first_step(name) for name in optim.OPTIMIZERS},
    "check": checked,
    "explain": lambda recipe: str(transfer.explain(LAYOUT, recipe)),
    "gradient_norm": lambda recipe: transfer.gradient_norm(WEIGHTS, LAYOUT, recipe),
    "multiplier": lambda recipe: transfer.multiplier(LAYOUT, recipe, "up"),
    "rescale_init": lambda recipe: transfer.rescale_init(DRAWN, SMALL, LAYOUT, recipe),
    "scaled": scaled,
    "top_singular_values": lambda recipe: transfer.top_singular_values(
        WEIGHTS, LAYOUT, recipe=recipe
    ),
}


def test_every_public_function_of_a_recipe_is_in_the_list():
    functions = {name: getattr(transfer, name) for name in transfer.__all__}
    taking = {
        name
        for name, each in functions.items()
        if inspect.isfunction(each) and "recipe" in inspect.signature(each).parameters
    }
    assert taking == set(TAKES_A_RECIPE)


@pytest.mark.parametrize("name", TAKES_A_RECIPE)
def test_a_name_does_where_a_recipe_is_wanted(name):
    call = TAKES_A_RECIPE[name]
    # The model that is checked applies no multipliers, which the other recipe would need.
    text = "mup_table3+independent" if name == "check" else "mean_field+independent"
    found, expected = call(text), call(transfer.Recipe.parse(text))
    assert jax.tree.all(jax.tree.map(lambda one, other: np.all(one == other), found, expected))
    with refused("mupp", "mup", recorded=False):
        call("mupp")
    with refused(3, recorded=False):
        call(3)


def test_a_name_does_in_objects_that_hold_a_recipe():
    recipe, text = transfer.Recipe("mean_field", decay="independent"), "mean_field+independent"
    hyperparameters = transfer.Hyperparameters(learning_rate=1.0)
    assert TrialSpec(hyperparameters, 0, text) == TrialSpec(hyperparameters, 0, recipe)
    assert Slopes(text, "entrywise") == Slopes(recipe, "entrywise")
    assert predicted_slope(text) == predicted_slope(recipe)
    assert transfer.Exponents.of(text, "linear") == transfer.Exponents.of(recipe, "linear")
    found, expected = (transfer.RecipeArrays.of(each, LAYOUT) for each in (text, recipe))
    assert jax.tree.all(jax.tree.map(np.array_equal, found, expected))


def test_a_layout_prints_as_a_table():
    first, header, row = str(LAYOUT).splitlines()
    assert first == "64 numbers in 1 parameters"
    assert header.split() == [
        "parameter",
        "axes",
        "shape",
        "at",
        "the",
        "base",
        "role",
        "m",
        "in",
        "m",
        "out",
    ]
    assert row.split() == ["up", "embed", "->", "ffn", "8x8", "2x2", "hidden", "4", "4"]


COMPLEX = {"up": jax.numpy.ones((8, 8), "complex64")}


@pytest.mark.parametrize(
    "use",
    [
        lambda: transfer.adamw(0.1, layout=LAYOUT, recipe="mup").init(COMPLEX),
        lambda: transfer.gradient_norm(COMPLEX, LAYOUT, "mup"),
        lambda: transfer.top_singular_values(COMPLEX, LAYOUT),
        lambda: transfer.rescale_init(COMPLEX, COMPLEX, LAYOUT, "mup"),
        lambda: transfer.infer_layout(
            lambda width: {"up": jax.numpy.ones((width, width), "complex64")},
            base_width=2,
            width=8,
            convention="in_out",
        ),
    ],
)
def test_complex_weights_are_refused(use):
    with refused("up", "complex64"):
        use()


@pytest.mark.parametrize("k", [0, -1, 1.5, "a"])
@pytest.mark.parametrize("pairs", [None, 4])
def test_a_number_of_singular_values_that_is_none(k, pairs):
    with refused(k, recorded=False):
        transfer.top_singular_values(WEIGHTS, LAYOUT, k=k, pairs=pairs)
