"""Events for TensorBoard, read back by the protocol's own messages."""

import collections
import contextlib
import pathlib
import struct
import subprocess
import sys

import numpy as np
import pytest
from tensorboardX.proto import event_pb2

from transfer.scaling import Hyperparameters
from transfer.training import Checkpoints
from transfer.training.events import Events

from .test_resume import interrupt_at
from .tiny import SETTINGS, STEPS, train

NAMES = ("one", "two", "three")
RATES = np.arange(3 * STEPS).reshape(3, STEPS) / 64.0
PATH = "hidden.kernel"


def records(folder):
    """The events of a folder: each is its length, a checksum, itself and another checksum."""
    for file in sorted(folder.glob("events.*")):
        content, place = file.read_bytes(), 0
        while place < len(content):
            (length,) = struct.unpack_from("<Q", content, place)
            yield event_pb2.Event.FromString(content[place + 12 : place + 12 + length])
            place += 16 + length


def read(folder):
    """Values by tag and step."""
    found = collections.defaultdict(dict)
    for event in records(folder):
        for value in event.summary.value:
            histogram = value.WhichOneof("value") == "histo"
            found[value.tag][event.step] = value.histo if histogram else value.simple_value
    return found


def shown(folder):
    """Steps by tag, as TensorBoard shows them: a session's start drops what is of later steps."""
    found = collections.defaultdict(list)
    for event in records(folder):
        if event.session_log.status == event_pb2.SessionLog.START:
            for steps in found.values():
                steps[:] = [step for step in steps if step < event.step]
        for value in event.summary.value:
            found[value.tag].append(event.step)
    return found


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("events")
    wild = (Hyperparameters(learning_rate=np.inf), 0)
    with Events(folder, NAMES, RATES) as events:
        outcome = train([SETTINGS[0], wild, SETTINGS[2]], events=events, spectrum_every=6)
    return folder, outcome


def test_every_trial_has_a_folder_with_its_curves(written):
    folder, outcome = written
    assert {each.name for each in folder.iterdir()} == set(NAMES)
    for trial in (0, 2):
        found = read(folder / NAMES[trial])
        for name, values in outcome.history.items():
            assert list(found[name]) == list(range(1, STEPS + 1))
            np.testing.assert_array_equal(list(found[name].values()), values[trial])
        np.testing.assert_array_equal(list(found["learning_rate"].values()), RATES[trial])


def test_singular_values_and_gains_are_those_that_were_measured(written):
    folder, outcome = written
    for trial in (0, 2):
        found = read(folder / NAMES[trial])
        for tag, quantity in (("sigma_1", "spectrum"), ("gain", "gain")):
            values = outcome.measured[quantity][PATH][trial].reshape(5, -1)[:, 0]
            expected = dict(zip(outcome.measured_at, values, strict=True))
            assert found[f"{tag}/{PATH}"] == pytest.approx(expected)
        last = found[f"spectrum/{PATH}"][STEPS]
        top = outcome.spectrum[PATH][trial, -1]
        assert (last.num, last.min, last.max) == pytest.approx((4, top.min(), top.max()))


def test_what_is_not_finite_is_left_out(written):
    found = read(written[0] / "two")
    assert list(found["loss"]) == [1]
    assert list(found[f"sigma_1/{PATH}"]) == list(found[f"spectrum/{PATH}"]) == [0]


def test_a_resumed_run_hides_what_it_does_again(tmp_path):
    """The first run wrote up to step 16, of which its last checkpoint knows 12."""
    settings = {"checkpoint_every": 12, "spectrum_every": 0}
    checkpoints, folder = tmp_path / "checkpoints", tmp_path / "events"
    with (
        pytest.raises(KeyboardInterrupt),
        Checkpoints(checkpoints) as saved,
        Events(folder, NAMES, RATES) as events,
    ):
        train(checkpoints=saved, events=events, progress=interrupt_at(16), **settings)
    assert max(read(folder / "one")["loss"]) > 12
    with Checkpoints(checkpoints) as saved, Events(folder, NAMES, RATES) as events:
        train(checkpoints=saved, events=events, **settings)

    assert shown(folder / "one")["loss"] == list(range(1, STEPS + 1))


def test_a_run_that_begins_anew_hides_all_that_it_did(tmp_path):
    """Before the first checkpoint there is nothing to go on from."""
    settings = {"checkpoint_every": 18, "spectrum_every": 6}
    checkpoints, folder = tmp_path / "checkpoints", tmp_path / "events"
    for progress in (interrupt_at(16), lambda *_: None):
        with (
            contextlib.suppress(KeyboardInterrupt),
            Checkpoints(checkpoints) as saved,
            Events(folder, NAMES, RATES) as events,
        ):
            train(checkpoints=saved, events=events, progress=progress, **settings)
        # As if of an earlier second than the next one; what is earlier already makes room first.
        for file in sorted(folder.glob("*/*")):
            file.rename(file.with_name(file.name.replace("tfevents.", "tfevents.0")))
    assert len(list((folder / "one").iterdir())) == 2
    steps = shown(folder / "one")
    assert steps["loss"] == list(range(1, STEPS + 1))
    assert steps[f"gain/{PATH}"] == [0, 6, 12, 18, 20]


def test_tensorflow_is_not_needed():
    code = "import sys, transfer.training.events; sys.exit('tensorflow' in sys.modules)"
    root = pathlib.Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0
