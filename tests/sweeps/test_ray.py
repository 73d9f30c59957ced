"""A Ray cluster of several nodes on this machine, groups of two processes, and one killed."""

import dataclasses
import os
import signal
import time
import warnings

import pytest
import ray
from ray.cluster_utils import Cluster

from transfer.config import read, template
from transfer.data import load_dataset, train_tokenizer
from transfer.errors import TransferError
from transfer.run_directory import RunDirectory
from transfer.sweeps import declared_groups, run_groups, run_sweep, unfinished
from transfer.sweeps.ray import RayLauncher, ResourceRequest, Resources, launcher, run_on_cluster
from transfer.sweeps.ray.reservation import Reservation

from .small import Recorder

# What machines of TPU slices say of themselves to Ray: two slices of two, and one of one.
SLICE, SMALL = "v5p:2x2x2", "v5p:2x2x1"
MACHINES = (
    ("first", 0, "v5p-16"),
    ("first", 1, "v5p-16"),
    ("second", 0, "v5p-16"),
    ("second", 1, "v5p-16"),
    ("alone", 0, "v5p-8"),
)


@pytest.fixture(scope="module", autouse=True)
def cluster():
    with warnings.catch_warnings():
        # JAX warns of a fork; what Ray forks becomes another program at once.
        warnings.simplefilter("ignore", RuntimeWarning)
        cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        for name, worker, pod_type in MACHINES:
            cluster.add_node(
                num_cpus=1,
                resources={"TPU": 4} | ({f"TPU-{pod_type}-head": 1} if worker == 0 else {}),
                env_vars={"TPU_NAME": name},
                labels={
                    "ray.io/tpu-slice-name": name,
                    "ray.io/tpu-worker-id": str(worker),
                    "ray.io/tpu-pod-type": pod_type,
                },
            )
        ray.init(address=cluster.address, log_to_driver=False, logging_level=40)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def declared():
    """An experiment that the workers can read: no class of it is of the tests."""
    config = template()
    config.base_width = 8
    config.model.width, config.model.layers, config.model.head_dim = 16, 1, 8
    config.model.dtype = "float32"
    config.data.name = "synthetic"
    config.data.sequence_length, config.data.batch_size, config.data.eval_sequences = 8, 8, 16
    config.training.steps, config.training.warmup = 240, 4
    config.training.log_every = config.training.checkpoint_every = 8
    config.training.spectrum_every = 0
    config.sweep.widths = (8, 16)
    config.sweep.recipes = ("mup+sqrt",)
    config.sweep.space.learning_rate = (2.0**-8, 2.0**-6)
    return read(config)


CORE = ResourceRequest(cpus=1)


class Killer(Recorder):
    """Kills the last worker of the group of which it first hears that a fifth is done."""

    def __init__(self, tasks):
        super().__init__()
        self.tasks, self.killed, self.lost, self.begun = tasks, None, [], []

    def start(self, group, work):
        super().start(group, work)
        self.begun.append((group.shape.width, None))

    def step(self, group, fraction, loss):
        self.begun.append((group.shape.width, fraction))
        if self.killed is None and fraction >= 0.2:
            self.killed = group.shape.width
            task = next(task for task in reversed(self.tasks) if task.group == group)
            os.kill(
                ray.get(task.workers[-1].__ray_call__.remote(lambda _: os.getpid())), signal.SIGKILL
            )

    def lose(self, group):
        self.lost.append(group.shape.width)


@pytest.fixture
def tasks(monkeypatch):
    """Every task that the launcher makes."""
    made = []

    class GroupTask(launcher.GroupTask):
        def __init__(self, *what):
            super().__init__(*what)
            made.append(self)

    monkeypatch.setattr(launcher, "GroupTask", GroupTask)
    return made


def test_a_killed_worker_costs_its_group_a_new_start_from_its_checkpoint(tasks, tmp_path):
    experiment = declared()
    groups, dataset = declared_groups(experiment), load_dataset(experiment.data)
    here, there = RunDirectory(tmp_path / "here"), RunDirectory(tmp_path / "there")
    assert run_groups(here, dataset, groups, Recorder()) == []

    killer = Killer(tasks)
    request = ResourceRequest(processes=2, cpus=1)
    assert run_on_cluster(there, dataset.fingerprint, groups, killer, request=request) == []

    assert killer.lost == [killer.killed]
    again = killer.begun[len(killer.begun) - 1 - killer.begun[::-1].index((killer.killed, None)) :]
    assert next(share for width, share in again if width == killer.killed and share) >= 0.2
    for name in ("metrics", "spectrum", "gains"):
        left, right = getattr(here, name)(), getattr(there, name)()
        assert left.num_rows == right.num_rows > 0
        assert left.select([0, 1]) == right.select([0, 1])
    for left, right in zip(here.trials(), there.trials(), strict=True):
        assert left.trial == right.trial
        # Sums over the devices of two processes are added up in another order.
        assert left.eval_loss == pytest.approx(right.eval_loss, rel=1e-5)
        assert left.loss == pytest.approx(right.loss, rel=1e-5)
    assert not list(there.checkpoints.iterdir())


def test_what_a_worker_raises_is_the_sentence_of_its_group(tmp_path):
    experiment = declared()
    groups = declared_groups(experiment)[:1]
    run = RunDirectory(tmp_path / "run")
    (sentence,) = run_on_cluster(run, "another", groups, Recorder(), request=CORE)
    assert sentence.startswith("mup+sqrt at width 8 failed: The training data differs from that of")
    assert run.trials() == []


def test_a_slice_is_held_whole_or_not_at_all():
    first, second, third = (Reservation(Resources(1, 1, slice=SLICE)) for _ in range(3))
    try:
        assert all(_soon(reservation) for reservation in (first, second))
        assert not third.ready()

        names = _names(first)
        assert len(names) == 2
        assert names[0] == names[1]

        second.release()
        assert _soon(third)
    finally:
        for reservation in (first, third):
            reservation.release()


def test_a_slice_of_one_machine_is_no_part_of_a_larger_one():
    alone, another = (Reservation(Resources(1, 1, slice=SMALL)) for _ in range(2))
    try:
        assert _soon(alone)
        assert _names(alone) == ["alone"]
        # Four machines with as many chips are idle.
        assert not _soon(another, rounds=5)
        alone.release()
        assert _soon(another)
        assert _names(another) == ["alone"]
    finally:
        another.release()


def test_a_process_on_a_slice_has_the_cores_that_were_asked_for():
    reservation = Reservation(Resources(1, 2, slice=SMALL))
    try:
        assert not reservation.ready()  # the machine has one
        assert reservation.options(0)["num_cpus"] == 2
        assert reservation.options(0)["resources"] == {"TPU": 4}
    finally:
        reservation.release()


@pytest.mark.parametrize("slice", ["v7x:8x8x12", "v5p:4x4x64", "v4:16x16x16"])
def test_a_slice_that_ray_does_not_have_is_a_sentence(slice):
    with pytest.raises(
        TransferError, match=rf"^Ray has no TPU slice {slice} \(.*\); expected .*\.$"
    ):
        Reservation(Resources(1, 1, slice=slice)).ready()


def test_paths_are_those_of_this_working_directory(tmp_path, monkeypatch):
    train_tokenizer(["some text, which is all there is"] * 8, 260, str(tmp_path / "tokenizer.json"))
    monkeypatch.chdir(tmp_path)  # the cluster was started in another
    made = declared()
    experiment = dataclasses.replace(
        made,
        data=dataclasses.replace(made.data, tokenizer="tokenizer.json", data_dir="data"),
        training=dataclasses.replace(made.training, steps=8, tensorboard=True),
        model=dataclasses.replace(made.model, vocabulary=512),
    )
    groups, run = declared_groups(experiment)[:1], RunDirectory("run")
    fingerprint = load_dataset(experiment.data).fingerprint
    assert run_on_cluster(run, fingerprint, groups, Recorder(), request=CORE) == []
    assert len(run.trials()) == 2
    # What a worker writes by itself is where the rows are.
    assert (tmp_path / "run" / "tensorboard").is_dir()
    # They are the trials of the paths as given: nothing is left to do.
    assert unfinished(run, groups) == []


@pytest.mark.full  # rounds are groups, which the other tests train
def test_an_adaptive_search_tries_on_a_cluster_what_it_tries_here(tmp_path):
    made = declared()
    sweep = dataclasses.replace(
        made.sweep, search="adaptive", population=2, trials=4, tolerance=1e-6, widths=(8,)
    )
    experiment = dataclasses.replace(
        made, sweep=sweep, training=dataclasses.replace(made.training, steps=16)
    )
    # The cluster is there, and stays connected from one round to the next.
    there = run_sweep(
        experiment, tmp_path / "there", Recorder(), launcher=RayLauncher(CORE, "unused")
    )
    here = run_sweep(experiment, tmp_path / "here", Recorder())

    assert [trial.trial for trial in there.trials()] == [trial.trial for trial in here.trials()]
    assert len(there.trials()) == 4
    assert ray.is_initialized()


def _names(reservation):
    """The slices that the machines of a reservation belong to, by rank."""
    name = ray.remote(lambda: os.environ["TPU_NAME"])
    return [
        ray.get(name.options(**reservation.options(rank)).remote())
        for rank in range(reservation.processes)
    ]


def _soon(reservation, rounds=100):
    return any(reservation.ready() or time.sleep(0.2) for _ in range(rounds))
