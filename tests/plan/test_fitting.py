"""The search for settings that fit, with programs that need not be compiled."""

import pytest

from transfer.errors import TransferError
from transfer.plan import TooLargeError, fit, too_large
from transfer.plan.fitting import changed
from transfer.tpu import Topology

from .slices import BATCH, experiment, group

TOPOLOGY = Topology.parse("v5p:2x2x1")
MESH = {"trial": 1, "data": 4, "fsdp": 1, "tensor": 1}
GIB = 2**30


@pytest.fixture
def compiling(monkeypatch):
    """Programs fit where a function of the group says so; returns what was compiled."""

    def replace(fits, refused=lambda group: False):
        tried = []

        def make_plan(group, topology):
            tried.append(group)
            if refused(group):
                raise TransferError("It does not divide.")
            if not fits(group):
                raise TooLargeError(120 * GIB, MESH)
            return f"plan {len(tried)}"

        monkeypatch.setattr("transfer.plan.fitting.make_plan", make_plan)
        return tried

    return replace


def found(**settings):
    return fit(group(experiment(**settings), 1), TOPOLOGY)


def test_what_fits_is_compiled_once(compiling):
    tried = compiling(lambda group: True)
    fitting = found()
    assert (fitting.fits, fitting.plan, fitting.flags, len(tried)) == (True, "plan 1", "", 1)


@pytest.mark.parametrize(
    ("fits", "change"),
    [
        (lambda made: made.mesh.fsdp == 4, {"mesh.data": 1, "mesh.fsdp": 4}),
        (
            lambda made: made.model.remat == "full",
            {"mesh.data": 1, "mesh.fsdp": 4, "model.remat": "full"},
        ),
        (
            lambda made: made.training.microbatches == 4,
            {
                "mesh.data": 1,
                "mesh.fsdp": 4,
                "model.remat": "full",
                "training.microbatches": 4,
            },
        ),
        (
            lambda made: made.data.batch_size < BATCH,
            {
                "mesh.data": 1,
                "mesh.fsdp": 4,
                "model.remat": "full",
                "training.microbatches": 4,
                "data.batch_size": BATCH // 2,
            },
        ),
    ],
)
def test_changes_add_up_until_one_fits(compiling, fits, change):
    compiling(fits)
    fitting = found()
    assert not fitting.fits
    assert fitting.change == change
    assert fits(changed(group(experiment(), 1), change))
    said = too_large(fitting, "It", TOPOLOGY)
    assert all(f"--config.{key}={value}" in said for key, value in change.items())


@pytest.mark.parametrize(
    ("refused", "fits", "change"),
    [
        (
            lambda made: made.mesh.fsdp == 4,
            lambda made: made.training.microbatches == 2,
            {"model.remat": "full", "training.microbatches": 2},
        ),
        # One example a chip, which no number of parts divides.
        (
            lambda made: made.mesh.fsdp == 4 and made.training.microbatches > 1,
            lambda made: made.data.batch_size < BATCH,
            {
                "mesh.data": 1,
                "mesh.fsdp": 4,
                "model.remat": "full",
                "data.batch_size": BATCH // 2,
            },
        ),
    ],
)
def test_a_change_that_does_not_divide_is_left_out_of_those_after_it(
    compiling, refused, fits, change
):
    tried = compiling(fits, refused)
    assert found().change == change
    assert not refused(tried[-1])


def test_the_search_ends(compiling):
    tried = compiling(lambda made: False)
    fitting = found()
    assert (fitting.plan, fitting.needed) == (None, 120 * GIB)
    # One trial goes in no other turn.
    assert len(tried) == 1 + 5
    said = too_large(fitting, "It", TOPOLOGY)
    assert "needs 120.00 GiB of a chip, which has 95.74" in said
    assert "expected a larger slice" in said


def test_trials_go_in_turn_where_several_share_a_chip(compiling):
    compiling(lambda made: made.training.execution == "in_turn")
    change = fit(group(experiment(), 2), TOPOLOGY).change
    assert change["training.execution"] == "in_turn"
