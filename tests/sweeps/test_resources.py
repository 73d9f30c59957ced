import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.util.tpu import infer_tpu_pod_type_from_topology
from refusals import refused

from transfer.models import parameter_count
from transfer.sweeps import declared_groups
from transfer.sweeps.ray import resources
from transfer.sweeps.ray.resources import (
    POD_TYPE,
    ResourceRequest,
    Resources,
    memory,
    resources_for,
)
from transfer.sweeps.ray.worker import environment
from transfer.training.compilation_cache import VARIABLE

from .small import experiment

GROUP = declared_groups(experiment())[0]
TRIALS = len(GROUP.trials)


@given(st.lists(st.integers(1, 64), min_size=1, max_size=5))
def test_a_group_has_a_core_for_every_trial_as_far_as_a_machine_has_them(cores):
    nodes = [{"CPU": float(count)} for count in cores]
    given = resources_for(GROUP, ResourceRequest(), nodes)
    assert given == Resources(processes=1, cpus=min(TRIALS, max(cores)))
    assert given.fits(nodes)


def test_trials_are_shared_among_processes():
    assert resources_for(GROUP, ResourceRequest(processes=3), [{"CPU": 64.0}]) == Resources(
        3, math.ceil(TRIALS / 3)
    )


def test_where_there_are_gpus_a_process_has_one():
    nodes = [{"CPU": 8.0}, {"CPU": 16.0, "GPU": 4.0}]
    assert resources_for(GROUP, ResourceRequest(), nodes) == Resources(1, 1, gpus=1)
    assert resources_for(GROUP, ResourceRequest(gpus=4, cpus=8), nodes) == Resources(1, 8, gpus=4)


@pytest.mark.parametrize(
    ("asked", "fits"),
    [
        (Resources(2, 4), True),
        (Resources(3, 4), True),
        (Resources(4, 4), False),
        (Resources(1, 9), False),
        (Resources(1, 1, gpus=1), False),
        (Resources(1, 1, slice="v6e:2x2"), False),
    ],
)
def test_what_fits_on_a_machine_of_8_cores_and_one_of_4(asked, fits):
    assert asked.fits([{"CPU": 8.0}, {"CPU": 4.0}]) is fits


@pytest.mark.parametrize(
    ("slice", "pod_type"),
    [
        ("v4:2x2x2", "v4-16"),
        ("v5e:2x4", "v5litepod-8"),
        ("v5p:2x2x1", "v5p-8"),
        ("v6e:4x4", "v6e-16"),
        ("v7x:4x4x4", "v7x-128"),
    ],
)
def test_a_slice_is_that_of_machines_that_say_so(slice, pod_type):
    asked = Resources(1, 4, slice=slice)
    # By chips and cores, as Ray itself makes the label out.
    assert asked.pod_type == pod_type
    assert pod_type == infer_tpu_pod_type_from_topology(slice.split(":")[1], asked.generation)
    machine = {"CPU": 4.0, "TPU": 4.0, POD_TYPE: pod_type}
    assert asked.fits([{"CPU": 8.0}, machine])
    assert not asked.fits([machine | {POD_TYPE: "v6e-256"}])
    assert not asked.fits([machine | {"CPU": 3.0}])


@pytest.mark.parametrize("given", [Resources(1, 2), Resources(1, 1, gpus=1)])
def test_workers_keep_programs_where_this_process_was_told_to(given, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert VARIABLE not in environment(given)
    monkeypatch.setenv(VARIABLE, "none")
    assert environment(given)[VARIABLE] == "none"


def test_tpus_are_not_left_idle_unless_that_is_said():
    nodes = [{"CPU": 8.0}, {"CPU": 4.0, "TPU": 4.0, POD_TYPE: "v6e-16"}]
    for request in (ResourceRequest(), ResourceRequest(processes=2)):
        with refused("--slices", "v6e:4x4", "--cpus"):
            resources_for(GROUP, request, nodes)
    assert resources_for(GROUP, ResourceRequest(cpus=2), nodes) == Resources(1, 2)
    slices = ResourceRequest(cpus=2, slices=("v6e:4x4",))
    assert resources_for(GROUP, slices, nodes) == Resources(1, 2, slice="v6e:4x4")


def test_memory_is_four_numbers_for_each_parameter_of_each_trial_twice():
    count = parameter_count(GROUP.layout.parameters)
    assert memory(GROUP) == 2 * 4 * 4 * count * TRIALS


def test_a_group_has_the_smallest_slice_that_holds_it(monkeypatch):
    offered = ("v6e:4x4", "v5e:1x1", "v6e:2x2")  # 500, 15.75 and 125 GiB that programs may take
    for needed, slice in ((15.7, "v5e:1x1"), (15.8, "v6e:2x2"), (125.1, "v6e:4x4")):
        monkeypatch.setattr(resources, "memory", lambda *_, needed=needed: int(needed * 2**30))
        assert resources_for(GROUP, ResourceRequest(slices=offered), []) == Resources(
            1, 1, slice=slice
        )
    monkeypatch.setattr(resources, "memory", lambda *_: 501 * 2**30)
    with refused("501 GiB", "--slices", "v6e:4x4"):
        resources_for(GROUP, ResourceRequest(slices=offered), [])


def test_refusals():
    with refused("v6e:3x3", "v6e"):
        resources_for(GROUP, ResourceRequest(slices=("v6e:3x3",)), [])
    with refused("--cpus", -1):
        ResourceRequest(cpus=-1)
    with refused("--slices", "--gpus"):
        ResourceRequest(gpus=1, slices=("v6e:2x2",))
