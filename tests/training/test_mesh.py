import pytest

from transfer.training.mesh import make_mesh


class Device:
    """Stands for one device: a mesh of these is laid out, never computed on."""

    device_kind, platform, process_index = "toy", "cpu", 0

    def __init__(self, number):
        self.id = number


@pytest.mark.parametrize(
    ("trials", "batch_size", "devices", "shape"),
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
    trials, batch_size, devices, shape
):
    mesh = make_mesh(trials, batch_size, [Device(number) for number in range(devices)])

    assert tuple(mesh.shape.items()) == (("trial", shape[0]), ("data", shape[1]))
    assert [each.id for each in mesh.devices.flat] == list(range(shape[0] * shape[1]))
