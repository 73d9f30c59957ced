"""Which groups get their turn while others wait for their share of a cluster."""

from types import SimpleNamespace

import pytest

from transfer.run_directory import RunDirectory
from transfer.sweeps import declared_groups
from transfer.sweeps.ray import ResourceRequest, Resources, launcher, run_on_cluster

from .small import Recorder, experiment

GROUPS = declared_groups(experiment())
SLICE, CORES = Resources(1, 1, slice="v6e:4x4"), Resources(1, 1)


class EndedError(Exception):
    """The first round is over."""


class Told(Recorder):
    def __init__(self):
        super().__init__()
        self.waiting = []

    def wait(self, group, what):
        self.waiting.append(group.shape.width)


@pytest.fixture
def one_round(monkeypatch, tmp_path):
    """Look at every group once: the wider first, with what it wants, and what becomes of it.

    A share is "free", "taken" (Ray knows of it), or "none" there is, which asking tells.
    """

    def run(wider, narrower):
        found = {16: wider, 8: narrower}
        asked, begun = [], []

        class Reservation:
            def __init__(self, resources):
                self.resources, self.asked = resources, False
                self.state = states.pop(0)

            def ready(self):
                asked.append(self.resources)
                self.asked = self.state != "none"
                return self.state == "free"

            def release(self):
                pass

        def end(seconds):
            raise EndedError

        states = [state for _, state in found.values()]
        monkeypatch.setattr(launcher, "Reservation", Reservation)
        monkeypatch.setattr(
            launcher, "resources_for", lambda group, *rest: found[group.shape.width][0]
        )
        monkeypatch.setattr(launcher.ray, "nodes", list)
        monkeypatch.setattr(launcher, "time", SimpleNamespace(sleep=end))
        monkeypatch.setattr(
            launcher.GroupTask, "start", lambda task, *_: begun.append(task.group.shape.width)
        )
        where = RunDirectory(tmp_path / "run")
        told = Told()
        with pytest.raises(EndedError):
            run_on_cluster(where, "", GROUPS, told, request=ResourceRequest())
        assert sorted(told.waiting) == [8, 16]  # no machine is there at all
        return begun, asked

    return run


def test_a_group_that_waits_for_a_slice_keeps_none_from_cores_that_are_free(one_round):
    assert one_round((SLICE, "none"), (CORES, "free")) == ([8], [SLICE, CORES])


def test_a_slice_that_no_one_has_is_asked_for_once_a_round(one_round):
    assert one_round((SLICE, "none"), (SLICE, "none")) == ([], [SLICE])


def test_a_group_that_has_its_share_begins_though_one_like_it_waits(one_round):
    assert one_round((CORES, "taken"), (CORES, "free")) == ([8], [CORES, CORES])
