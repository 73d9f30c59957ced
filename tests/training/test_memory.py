import dataclasses
import math

import jax
import pytest
from refusals import refused

from transfer.sharding import MeshConfig
from transfer.sharding.device_memory import GIB, SHARE
from transfer.training import DoesNotFitError, build_population, group_mesh, memory
from transfer.training.memory import (
    PeakMemory,
    predict_memory,
    require_room,
    require_room_for_one,
    room,
)

from .test_compilation import compilations
from .tiny import DATA, SETTINGS, group

# Embedding, hidden matrix and readout of the tiny model, at width 16 and for 128 tokens.
PARAMETERS = 128 * 16 + 16 * 16 + 16 * 128
# Eight trials of 1 GiB on the device, of which 2 GiB are shared.
EIGHT = PeakMemory(trials=8, state=2**28, per_trial=2**30, run=10 * 2**30, measure=7)


def eight(gib=0.0, **changes):
    trials = [(dataclasses.replace(SETTINGS[0][0], learning_rate=2.0**-n), 0) for n in range(8)]
    return dataclasses.replace(group(trials, **changes), mesh=MeshConfig(memory=gib))


@pytest.mark.parametrize("count", [1, 3])
def test_the_state_is_parameters_and_two_moments_and_the_run_holds_all_of_them(count):
    tiny = group(SETTINGS[:count])
    built = build_population(tiny, group_mesh(tiny))
    held_out = built.eval_batches(2)
    compiled = built.population.compile(built.trials, built.batches, held_out)
    found = predict_memory(built, compiled, held_out)

    # Beside them three counters (of the trial, the schedule and AdamW) and four multipliers.
    assert found.trials == count
    assert found.state == 4 * (3 * PARAMETERS + 3 + 4)
    assert found.peak == found.run > count * found.state
    # Batches of a chunk that the program takes, and of as many as the loop holds beside it: seeds,
    # steps, sequences and tokens. The hidden matrices are held as they were one step before.
    batches = 4 * len(built.seeds) * 8 * DATA.batch_size * (DATA.sequence_length + 1)
    hidden = 4 * count * 16 * 16
    eval_tokens = 4 * 2 * DATA.batch_size * (DATA.sequence_length + 1)
    analysis = compiled.run.wait().memory_analysis()
    given = analysis.argument_size_in_bytes - batches - count * found.state
    assert 0 < given < 2000  # what tells trials apart: a few numbers for each parameter
    assert found.run == (
        analysis.argument_size_in_bytes
        + analysis.temp_size_in_bytes
        + analysis.output_size_in_bytes
        - analysis.alias_size_in_bytes
        + 3 * batches
        + hidden
        + eval_tokens
    )
    # The state is not held twice: what a run returns lies where its state lay.
    assert analysis.alias_size_in_bytes == count * found.state


@pytest.mark.parametrize(("gib", "fitting"), [(9.9, 7), (6.5, 4), (3.0, 1), (0.5, 1)])
def test_a_group_that_does_not_fit_says_how_many_of_its_trials_do(gib, fitting):
    large = eight(gib)
    with refused(16, "8 trials", "10 GiB", f"{gib:.3g}", fitting) as caught:
        require_room(large, group_mesh(large), EIGHT)
    assert isinstance(caught.value, DoesNotFitError)
    assert caught.value.fitting == fitting


def test_a_group_that_fits_is_trained_as_it_is():
    require_room(eight(10.0), group_mesh(eight(10.0)), EIGHT)


def test_parts_have_all_seeds_so_that_they_share_a_program():
    trials = [(SETTINGS[0][0], seed) for _ in range(3) for seed in range(3)][:8]
    large = dataclasses.replace(group(trials), mesh=MeshConfig(memory=7.5))
    with pytest.raises(DoesNotFitError) as caught:
        require_room(large, group_mesh(large), EIGHT)
    assert caught.value.fitting == 3  # of five


def test_a_trial_that_does_not_fit_alone_is_refused_with_what_would_help():
    tiny = dataclasses.replace(group(SETTINGS[:1]), mesh=MeshConfig(memory=2.0))
    one = dataclasses.replace(EIGHT, trials=1, run=3 * 2**30)
    with refused(16, "3 GiB", 2, "mesh.fsdp", "training.microbatches", "mesh.memory") as caught:
        require_room(tiny, group_mesh(tiny), one)
    assert caught.value.fitting == 0


def test_before_a_run_one_trial_is_compiled_only_if_it_may_be_too_large():
    with compilations() as found:
        require_room_for_one(eight())
    assert not found
    with (
        compilations() as found,
        refused("mesh.fsdp", "one trial", recorded=False) as caught,
    ):
        require_room_for_one(eight(1e-5))
    assert len(found) == 1
    assert caught.value.fitting == 0
    # By the estimate it may not fit, and compiled it does.
    with compilations() as found:
        require_room_for_one(eight(3e-4))
    assert len(found) == 1


def test_the_room_is_what_was_asked_for_or_a_share_of_what_the_fullest_device_has(monkeypatch):
    mesh = group_mesh(group())
    assert room(mesh, MeshConfig(memory=1.5)) == 1.5 * GIB
    monkeypatch.setattr(memory.sharding, "free_memory", lambda device: 8 * GIB)
    assert room(mesh, MeshConfig()) == SHARE * 8 * GIB


def test_the_devices_of_a_machine_share_its_memory(monkeypatch):
    from transfer.sharding import device_memory

    monkeypatch.setattr(device_memory, "host_memory", lambda: 8 * GIB)
    monkeypatch.setattr(jax, "local_device_count", lambda: 4)
    assert device_memory.free_memory(jax.devices()[0]) == 2 * GIB

    class Accelerator:
        platform = "gpu"

        def memory_stats(self):
            return {"bytes_limit": 10 * 2**30, "bytes_in_use": 2**30}

    assert device_memory.free_memory(Accelerator()) == 9 * GIB
    assert device_memory.free_memory(object()) == math.inf


@pytest.mark.parametrize("gib", [-1.0, math.inf])
def test_the_setting_is_a_number_of_gib(gib):
    with refused("mesh.memory", gib):
        MeshConfig(memory=gib)
