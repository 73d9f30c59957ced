import contextlib
import dataclasses

import jax
import pytest
from training.tiny import DATA, STEPS

from transfer.data import load_dataset
from transfer.run_directory import RunDirectory
from transfer.sharding.device_memory import GIB, SHARE
from transfer.sweeps import declared_groups, remove_orphans, run_groups, runner, split_line
from transfer.sweeps.parts import in_parts, parts_after
from transfer.training import DoesNotFitError, loop, train
from transfer.training.memory import predict_memory

from .small import Recorder, experiment, swept

WIDTH = 16


class Listener(Recorder):
    """Remembers parts, how many programs each group compiled, and stops where it is told to."""

    def __init__(self, stop_after=None, stop_at=None):
        super().__init__()
        self.splits, self.compiled_for, self.resumed = [], [], []
        self.stop_after, self.stop_at = stop_after, stop_at

    def start(self, group, work):
        super().start(group, work)
        self.compiled_for.append(0)

    def compiled(self, group, fraction):
        self.resumed.append(fraction)

    def split(self, group, parts, reason):
        self.splits.append(split_line(group, parts, reason))

    def step(self, group, fraction, loss):
        super().step(group, fraction, loss)
        if self.stop_at == (len(self.finished), fraction):
            raise KeyboardInterrupt

    def finish(self, group, trials):
        super().finish(group, trials)
        if len(self.finished) == self.stop_after:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def counting(self):
        """Count what is compiled, from a cache on disk or not."""

        def listen(event, duration, **_):
            if event == "/jax/core/compile/backend_compile_duration" and self.compiled_for:
                self.compiled_for[-1] += 1

        jax.monitoring.register_event_duration_secs_listener(listen)
        try:
            yield self
        finally:
            jax.monitoring.unregister_event_duration_listener(listen)

    @property
    def sizes(self):
        return [trials for *_, trials in self.finished]


@pytest.fixture(scope="module")
def dataset():
    return load_dataset(DATA)


def groups(gib=0.0, **training):
    """Four trials, two learning rates of two seeds, on devices with so much memory."""
    base = swept(experiment(), widths=(WIDTH,))
    settings = dataclasses.replace(base.training, **training)
    mesh = dataclasses.replace(base.mesh, memory=gib)
    return declared_groups(dataclasses.replace(base, training=settings, mesh=mesh))


@pytest.fixture(scope="module")
def whole(dataset, tmp_path_factory):
    """A run that was not split, its prediction and the memory that two trials fit into."""
    found = []

    def remembered(*arguments):
        found.append(predict_memory(*arguments))
        return found[-1]

    run, listener = RunDirectory(tmp_path_factory.mktemp("runs") / "whole"), Listener()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "predict_memory", remembered)
        assert run_groups(run, dataset, groups(), listener) == []
    assert (listener.splits, listener.sizes) == ([], [4])
    (memory,) = found
    return run, (memory.peak - 1.5 * memory.per_trial) / GIB


def losses(run):
    return {trial.trial: (trial.loss, trial.eval_loss) for trial in run.trials()}


def same(run, whole):
    found, expected = losses(run), losses(whole[0])
    return found.keys() == expected.keys() and all(
        found[name] == pytest.approx(expected[name], rel=1e-5) for name in expected
    )


def test_a_group_that_does_not_fit_is_trained_in_parts_that_share_a_program(
    whole, dataset, tmp_path
):
    run, listener = RunDirectory(tmp_path / "run"), Listener()
    with listener.counting():
        assert run_groups(run, dataset, groups(whole[1]), listener) == []

    assert same(run, whole)
    assert listener.sizes == [2, 2]
    (line,) = listener.splits
    assert "4 trials in 2 parts of 2, because its 4 trials take" in line
    # The group itself, its first part, and the last, which compiles nothing.
    assert len(listener.compiled_for) == 3
    assert listener.compiled_for[1] >= 5
    assert listener.compiled_for[2] == 0
    assert len({trial.group for trial in run.trials()}) == 2
    assert not list(run.checkpoints.iterdir())


def test_the_last_part_has_room_for_as_many_trials_as_the_others():
    (group,) = groups()
    parts = in_parts(group, 3)

    assert [len(part.trials) for part in parts] == [3, 1]
    assert [part.slots for part in parts] == [3, 3]
    assert sum((part.trials for part in parts), ()) == group.trials
    assert len({part.name for part in (group, *parts)}) == 3


@pytest.mark.parametrize("larger", [False, True], ids=["same machine", "larger machine"])
def test_a_run_that_is_killed_resumes_in_parts(whole, dataset, tmp_path, larger):
    run, often = RunDirectory(tmp_path / "run"), {"checkpoint_every": 8}
    first = Listener(stop_at=(1, 0.8))
    with pytest.raises(KeyboardInterrupt):
        run_groups(run, dataset, groups(whole[1], **often), first)
    assert (first.sizes, len(losses(run))) == ([2], 2)
    assert len(list(run.checkpoints.iterdir())) == 1

    again = Listener()
    resumed = groups(0.0 if larger else whole[1], **often)
    remove_orphans(run, resumed)
    assert run_groups(run, dataset, resumed, again) == []
    assert (again.sizes, again.resumed) == ([2], [8 / STEPS])
    assert same(run, whole)
    assert not list(run.checkpoints.iterdir())


def test_a_part_that_was_begun_is_resumed_before_the_rest(whole, dataset, tmp_path):
    run, often = RunDirectory(tmp_path / "run"), {"checkpoint_every": 8}
    with pytest.raises(KeyboardInterrupt):
        run_groups(run, dataset, groups(whole[1], **often), Listener(stop_at=(0, 0.8)))

    again = Listener()
    remove_orphans(run, groups(**often))
    assert run_groups(run, dataset, groups(**often), again) == []
    assert (again.sizes, again.resumed) == ([2, 2], [8 / STEPS, 0.0])
    assert same(run, whole)


def test_a_group_that_runs_out_of_memory_all_the_same_is_halved(
    whole, dataset, tmp_path, monkeypatch
):
    sizes = []

    def small_device(group, *arguments, **keywords):
        sizes.append(len(group.trials))
        if len(group.trials) > 2:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return train(group, *arguments, **keywords)

    monkeypatch.setattr(runner, "train", small_device)
    run, listener = RunDirectory(tmp_path / "run"), Listener()
    assert run_groups(run, dataset, groups(), listener) == []

    assert sizes == [4, 2, 2]
    assert listener.splits == [
        "mup+sqrt at width 16: 4 trials in 2 parts of 2, because a device ran out of memory."
    ]
    assert same(run, whole)


def test_one_trial_is_tried_last_and_its_failure_is_said_once(dataset, tmp_path, monkeypatch):
    sizes = []

    def tiny_device(group, *_, **__):
        sizes.append(len(group.trials))
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")

    monkeypatch.setattr(runner, "train", tiny_device)
    failures = run_groups(RunDirectory(tmp_path), dataset, groups(), Listener())

    assert sizes == [4, 2, 1]
    assert failures == ["mup+sqrt at width 16 failed: RESOURCE_EXHAUSTED: out of memory"]


@pytest.mark.parametrize(
    "error",
    [jax.errors.JaxRuntimeError("INTERNAL: broken"), DoesNotFitError("One trial.", "it", 0)],
)
def test_other_errors_and_single_trials_are_not_tried_again_in_parts(error):
    assert parts_after(groups()[0], error) == []


def test_a_worker_takes_the_memory_of_its_cores_since_others_train_beside_it(monkeypatch):
    from transfer.sweeps.ray import worker

    monkeypatch.setattr(worker, "machine_memory", lambda: 160 * GIB)
    monkeypatch.setattr(worker.os, "cpu_count", lambda: 16)
    (group,) = groups()
    assert worker.with_memory_of_cores(group).mesh.memory == pytest.approx(SHARE * 10)
    (chosen,) = groups(3.0)
    assert worker.with_memory_of_cores(chosen) == chosen
