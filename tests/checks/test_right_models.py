"""Models of other people's kinds, right ones: nothing is found, and nothing is accused."""

import jax
import pytest
from tracing.families import FAMILIES

from transfer.checks import check
from transfer.checks.coordinates import check_coordinates
from transfer.checks.model_under_test import built_in_model
from transfer.models import TransformerConfig
from transfer.scaling import Hyperparameters

LADDER = (32, 64, 128, 256)
NAMES = (
    "lora",
    *(
        pytest.param(name, marks=pytest.mark.full)
        for name in (
            *("u-net", "vit", "gru", "soft mixture", "top-2 mixture", "perceiver"),
            *("alibi", "attention pooling"),
        )
    ),
)


@pytest.mark.parametrize("name", NAMES)
def test_of_a_right_model_nothing_is_found(name, pytestconfig):
    family = FAMILIES[name]
    widths = LADDER if pytestconfig.getoption("full") else (64, 256)
    checked = check(
        family.build,
        widths,
        base_width=widths[0],
        recipe="mup_table3",
        inputs=family.inputs,
        apply=family.apply,
        rescale=True,
        steps=1,
    )
    assert checked.findings == ()
    assert [row for row in checked if row.verdict == "differs"] == []
    judged = [row for row in checked if row.verdict != "not judged"]
    # And it is not that nothing is decided.
    assert sum(row.verdict == "agrees" for row in judged) >= 0.8 * len(judged)


@pytest.mark.full
@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("widths", [(16, 32, 64), LADDER])
def test_the_librarys_own_decoder(widths, zero):
    config = TransformerConfig(
        layers=2,
        vocabulary=64,
        head_dim=16,
        dtype="float32",
        attention="xla",
        zero_init_query=zero,
        zero_init_readout=zero,
    )
    model = built_in_model(
        config,
        base_width=widths[0],
        recipe="mup",
        inputs=config.example(jax.random.key(0)),
        hyperparameters=Hyperparameters(learning_rate=1.0),
    )
    checked = check_coordinates(model, widths)
    assert checked.findings == ()
    assert checked.outcome != "differs"
    if widths[0] < 32:
        assert checked.limits[0].startswith("The widths 16, 32, 64 are narrow: in their")
    else:
        assert checked.outcome == "agrees"
