import dataclasses
import math

import hypothesis
import hypothesis.strategies as st
import pytest
from jax.sharding import PartitionSpec
from refusals import refused

from transfer.models import ResNetConfig, TransformerConfig, model_layout
from transfer.sharding import AXES, MeshConfig, make_mesh, parameter_spec

TRANSFORMER = TransformerConfig(width=64, head_dim=16, vocabulary=10)


class Device:
    """Stands for one device: a mesh of these is laid out, never computed on."""

    device_kind, platform = "toy", "cpu"

    def __init__(self, number, process=0):
        self.id = number
        self.process_index = process


def devices(count, processes=1):
    return [Device(number, number * processes // count) for number in range(count)]


def shape(mesh):
    return tuple(mesh.shape[name] for name in AXES)


def layout(model=TRANSFORMER, base=32):
    return model_layout(model, base).parameters


@pytest.mark.parametrize(
    ("trials", "batch_size", "count", "expected"),
    [
        (4, 16, 4, (4, 1)),
        (9, 16, 4, (4, 1)),
        (1, 16, 4, (1, 4)),
        (2, 16, 4, (2, 2)),
        (3, 16, 4, (3, 1)),
        (3, 16, 8, (3, 2)),
        (1, 6, 4, (1, 2)),
        (1, 5, 4, (1, 1)),
        (1, 16, 1, (1, 1)),
    ],
)
def test_devices_go_to_trials_first_and_then_to_what_divides_the_batch(
    trials, batch_size, count, expected
):
    mesh = make_mesh(trials=trials, batch_size=batch_size, devices=devices(count))

    assert mesh.axis_names == ("trial", "data", "fsdp", "tensor")
    assert shape(mesh) == (*expected, 1, 1)
    assert [each.id for each in mesh.devices.flat] == list(range(math.prod(expected)))


@pytest.mark.parametrize(
    ("trials", "memory_in_states", "expected"),
    [
        (1, 2.0, (1, 8, 1, 1)),  # a state takes half of a device, which leaves room
        (1, 1.99, (1, 4, 2, 1)),
        (1, 0.5, (1, 2, 4, 1)),
        (1, 0.25, (1, 1, 8, 1)),
        (1, 0.01, (1, 1, 8, 1)),  # the best there is
        (5, 2.0, (5, 1, 1, 1)),  # each of five devices has room for its trial
        (5, 1.99, (2, 1, 4, 1)),  # three states on four devices; two on two would fill them
        (5, 1.49, (1, 1, 8, 1)),
        (5, 0.9, (1, 1, 8, 1)),
    ],
)
def test_states_are_split_over_as_few_devices_as_make_room_for_them(
    trials, memory_in_states, expected
):
    parameters = layout()
    state = 16 * sum(math.prod(each.shape) for each in parameters.values())
    mesh = make_mesh(
        trials=trials,
        batch_size=8,
        parameters=parameters,
        devices=devices(8),
        memory=memory_in_states * state,
    )
    assert shape(mesh) == expected


@pytest.mark.parametrize(
    ("trials", "count", "processes", "expected"),
    [
        (18, 64, 1, (16, 4, 1, 1)),  # 18 along `trial` would leave 46 idle, and take twice as long
        (5, 16, 1, (4, 4, 1, 1)),
        (5, 8, 1, (5, 1, 1, 1)),  # 3 idle: three rounds of 2 x 4 would be but a quarter faster
        (5, 8, 4, (4, 2, 1, 1)),  # but a process without a device would be none of the job
        (6, 8, 8, (4, 2, 1, 1)),
    ],
)
def test_trials_do_not_leave_too_many_devices_idle(trials, count, processes, expected):
    mesh = make_mesh(trials=trials, batch_size=16, devices=devices(count, processes))
    assert shape(mesh) == expected


@pytest.mark.parametrize(
    ("config", "trials", "expected"),
    [
        (MeshConfig(fsdp=8), 1, (1, 1, 8, 1)),
        (MeshConfig(fsdp=2), 1, (1, 4, 2, 1)),
        (MeshConfig(data=2), 1, (1, 2, 4, 1)),
        (MeshConfig(tensor=4), 1, (1, 2, 1, 4)),
        (MeshConfig(tensor=2), 2, (2, 2, 1, 2)),
        (MeshConfig(trial=8), 3, (8, 1, 1, 1)),
        (MeshConfig(trial=2, fsdp=2, tensor=2), 2, (2, 1, 2, 2)),
        (MeshConfig(trial=2, data=1, fsdp=4, tensor=1), 9, (2, 1, 4, 1)),
    ],
)
def test_what_is_given_is_kept_and_the_rest_chosen(config, trials, expected):
    mesh = make_mesh(config, trials=trials, batch_size=8, parameters=layout(), devices=devices(8))
    assert shape(mesh) == expected


@hypothesis.settings(deadline=None)  # the first layout is traced
@hypothesis.given(
    config=st.builds(MeshConfig, **dict.fromkeys(AXES, st.sampled_from((0, 0, 0, 1, 2, 3, 4)))),
    trials=st.integers(1, 9),
    batch_size=st.integers(1, 24),
    count=st.integers(1, 24),
    memory=st.sampled_from((1e4, 1e6, math.inf)),
)
def test_every_mesh_divides_what_it_splits_or_is_refused(config, trials, batch_size, count, memory):
    parameters = layout()
    given = {name: size for name, size in dataclasses.asdict(config).items() if size}
    taken = math.prod(given.values())
    odd = (
        count % taken
        or ({"trial", "data", "fsdp"} <= given.keys() and taken < count)
        or batch_size % (given.get("data", 1) * given.get("fsdp", 1))
        # 64 is the width; the four heads and 192 feed-forward channels grow with it.
        or 64 % given.get("fsdp", 1)
        or 4 % given.get("tensor", 1)
    )

    def make():
        return make_mesh(
            config,
            trials=trials,
            batch_size=batch_size,
            parameters=parameters,
            devices=devices(count),
            memory=memory,
        )

    if odd:
        with refused(recorded=False):
            make()
        return
    mesh = make()
    assert given.items() <= dict(mesh.shape).items()
    assert mesh.size <= count
    assert len({each.id for each in mesh.devices.flat}) == mesh.size
    assert batch_size % (mesh.shape["data"] * mesh.shape["fsdp"]) == 0
    for parameter in parameters.values():
        for size, along in zip(parameter.shape, parameter_spec(parameter, mesh), strict=True):
            assert along is None or size % mesh.shape[along] == 0
    if not given:

        def rounds(along):
            return math.ceil(trials / along) / math.gcd(count // along, batch_size)

        # No device more could be put along the batch, and no other number of trials at once would
        # take half the time, of those that fit.
        chosen = mesh.shape["trial"]
        assert mesh.shape["data"] * mesh.shape["fsdp"] == math.gcd(count // chosen, batch_size)
        if memory == math.inf:
            others = range(1, min(trials, count) + 1)
            assert rounds(chosen) < 2 * min(map(rounds, others))
            assert all(rounds(more) >= 2 * min(map(rounds, others)) for more in others[chosen:])


@pytest.mark.parametrize(
    ("config", "changes", "names"),
    [
        (MeshConfig(fsdp=3), {}, ("mesh.fsdp", 3, 8)),
        (
            MeshConfig(data=4, tensor=4),
            {},
            ("mesh.data", 4, "mesh.tensor", 16, 8),
        ),
        (
            MeshConfig(trial=1, data=2, fsdp=1, tensor=1),
            {},
            (2, 6),
        ),
        (MeshConfig(trial=1, data=2, fsdp=1), {}, (2, 6)),
        (MeshConfig(data=2, fsdp=4), {"batch_size": 12}, (8, 12)),
        (
            MeshConfig(tensor=8),
            {},
            ("mesh.tensor", 8, "kv_heads", "blocks.attention.key.kernel", 4),
        ),
        (
            MeshConfig(fsdp=8),
            {"parameters": layout(dataclasses.replace(TRANSFORMER, width=36, head_dim=12), 12)},
            ("mesh.fsdp", 8, 36),
        ),
        (MeshConfig(), {"batch_size": 3, "devices": devices(8, 4)}, (3,)),
    ],
)
def test_what_does_not_divide_is_refused(config, changes, names):
    shared = {"trials": 1, "batch_size": 8, "parameters": layout(), "devices": devices(8)}
    with refused(*names):
        make_mesh(config, **(shared | changes))


def test_a_negative_size_is_refused():
    with refused("mesh.fsdp", -1):
        MeshConfig(fsdp=-1)


def test_parameters_are_split_by_the_axes_in_their_annotation():
    mesh = make_mesh(MeshConfig(fsdp=4, tensor=2), trials=1, batch_size=8, devices=devices(8))

    def split(model, base):
        return {
            path: tuple(parameter_spec(parameter, mesh))
            for path, parameter in layout(model, base).items()
        }

    transformer = split(TRANSFORMER, 32)
    assert transformer["embedding.table"] == ("tensor", "fsdp")
    assert transformer["blocks.attention.query.kernel"] == (None, "fsdp", "tensor", None)
    assert transformer["blocks.attention.key.kernel"] == (None, "fsdp", "tensor", None)
    assert transformer["blocks.attention.out.kernel"] == (None, "tensor", None, "fsdp")
    assert transformer["blocks.feed_forward.gate.kernel"] == (None, "fsdp", "tensor")
    assert transformer["blocks.feed_forward.down.kernel"] == (None, "tensor", "fsdp")
    assert transformer["blocks.attention_norm.gain"] == (None, None)
    assert transformer["readout.kernel"] == ("fsdp", "tensor")

    network = split(ResNetConfig(width=16, stages=(1, 1), image_channels=3), 8)
    assert network["stem.kernel"] == (None, None, None, "tensor")  # 4 do not divide 3 channels
    assert network["stages.0.0.convolutions.0.kernel"] == (None, None, "fsdp", "tensor")
    assert network["readout.kernel"] == ("fsdp", None)


def test_a_vocabulary_that_does_not_divide_stays_whole():
    mesh = make_mesh(MeshConfig(tensor=4), trials=1, batch_size=8, devices=devices(8))
    odd = layout(dataclasses.replace(TRANSFORMER, vocabulary=10))
    even = layout(dataclasses.replace(TRANSFORMER, vocabulary=12))

    assert parameter_spec(odd["readout.kernel"], mesh) == PartitionSpec(None, None)
    assert parameter_spec(even["readout.kernel"], mesh) == PartitionSpec(None, "tensor")
