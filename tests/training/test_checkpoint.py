"""What storage does to a checkpoint is noticed, and what was saved is read back elsewhere."""

import errno
import os
import pathlib
import random
import resource
import shutil
import subprocess
import sys

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from refusals import refused

from transfer.training import Checkpoints, Snapshot, State, checkpoint, restore_parameters
from transfer.training.digests import digests
from transfer.training.history import History

# Orbax gives up in the middle of a read, which leaves things for the garbage collector to tell of.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning"),
]

TRIALS, FIRST, LAST = 3, 5, 10
# The worst that a bad disk does, to one file at a time.
DAMAGES = {
    "truncated": lambda content, at: content[:at],
    "emptied": lambda content, at: b"",
    "zeroed": lambda content, at: bytes(len(content)),
    "zeroed from a place on": lambda content, at: content[:at] + bytes(len(content) - at),
    "flipped in one bit": lambda content, at: (
        content[:at] + bytes([content[at] ^ 16]) + content[at + 1 :]
    ),
    "lost": None,
}


def state(seed: int, filled: int = TRIALS) -> State:
    """A state of three trials, the last of which is repeated to fill up a mesh."""
    generator = np.random.default_rng(seed)

    def draw(*shape: int) -> jax.Array:
        values = generator.normal(size=(TRIALS, *shape)).astype(np.float32)
        return jnp.asarray(values[np.minimum(np.arange(filled), TRIALS - 1)])

    return State(
        step=jnp.full((filled,), seed, jnp.int32),
        parameters={"layers": {0: {"kernel": draw(16, 8)}, 1: {"kernel": draw(8, 8)}}},
        multipliers={"layers": {0: {"kernel": draw()}, 1: {"kernel": draw()}}},
        statistics={},
        optimizer=(draw(16, 8).astype(jnp.bfloat16), draw(8, 8)),
        vectors={"hidden": draw(8, 4)},
    )


def history(step: int) -> History:
    empty = History.empty(TRIALS, (LAST + 1,), {"gain": {"hidden": np.zeros((TRIALS, 2))}})
    curve = np.random.default_rng(0).normal(size=(TRIALS, step))
    empty.add_steps(0, step, {"loss": curve, "grad_norm": curve**2})
    return empty


def snapshot(step: int, filled: int = TRIALS) -> Snapshot:
    return Snapshot(step, state(step, filled), {"seeds": [0], "positions": [step]}, history(step))


def require_same(one: Snapshot, other: Snapshot) -> None:
    assert (one.step, one.data) == (other.step, other.data)
    jax.tree.map(np.testing.assert_array_equal, one.state, other.state)
    jax.tree.map(np.testing.assert_array_equal, one.history.to_tree(), other.history.to_tree())


def restore(folder: pathlib.Path, filled: int = TRIALS) -> Snapshot | None:
    with Checkpoints(folder) as checkpoints:
        return checkpoints.restore(state(0, filled), history(0))


# Every sign that a path may hold, but for those that `register_run` refuses.
ANY_NAME = " !\"#$%&'()+,-.:;<=>@]^_`{|}~\t\n\r\x01\x7f\u00e9\u6f22\U0001f642\u202e "


def test_a_checkpoint_is_read_again_wherever_it_lies(tmp_path):
    folder = tmp_path / ANY_NAME / ANY_NAME / "checkpoints"
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(snapshot(FIRST))
    require_same(restore(folder), snapshot(FIRST))


def files(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def damage(folder: pathlib.Path, kind: str, seed: int) -> pathlib.Path | None:
    """Damage one file below a folder; returns it, or None where that changed nothing."""
    generator = random.Random(seed)
    file = generator.choice([each for each in files(folder) if each.stat().st_size])
    content = file.read_bytes()
    if DAMAGES[kind] is None:
        file.unlink()
        return file
    after = DAMAGES[kind](content, generator.randrange(len(content)))
    file.write_bytes(after)
    return None if after == content else file


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    with Checkpoints(folder) as checkpoints:
        for step in (FIRST, LAST):
            checkpoints.save(snapshot(step))
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    return pathlib.Path(shutil.copytree(saved, tmp_path / "copy"))


@pytest.mark.parametrize("kind", DAMAGES)
def test_what_is_read_back_is_what_was_written_whatever_happened_to_the_last(
    saved, tmp_path, caplog, kind, pytestconfig
):
    tried, noticed = 12 if pytestconfig.getoption("full") else 4, 0
    for seed in range(tried):
        folder = shutil.copytree(saved, tmp_path / str(seed))
        harmed = damage(folder / str(LAST), kind, seed)
        caplog.clear()
        found = restore(folder)
        # Files that nothing reads may be damaged; those of arrays never go unnoticed.
        require_same(found, snapshot(found.step))
        warnings = [each.getMessage() for each in caplog.records if each.name.startswith("transf")]
        if found.step == LAST:
            assert warnings == []
            continue
        assert harmed is not None
        noticed += 1
        (warning,) = warnings
        assert f"The checkpoint of step {LAST} in {folder} is damaged (" in warning
        assert warning.endswith(f"; the run goes on from step {FIRST}.")
        assert "\n" not in warning
        # The next checkpoint of that step finds its place free.
        assert not (folder / str(LAST)).exists()
    assert noticed >= tried // 4


@pytest.mark.parametrize("item", ["state", "history"])
@pytest.mark.parametrize("digests_are_compared", [True, False])
def test_whole_files_of_another_step_are_noticed_by_their_digests_alone(
    copy, monkeypatch, item, digests_are_compared
):
    shutil.rmtree(copy / str(LAST) / item)
    shutil.copytree(copy / str(FIRST) / item, copy / str(LAST) / item)
    if not digests_are_compared:
        monkeypatch.setattr(checkpoint, "_differs", lambda written, read: "")
    found = restore(copy)

    assert found.step == (FIRST if digests_are_compared else LAST)
    if digests_are_compared:
        require_same(found, snapshot(FIRST))
    else:
        with pytest.raises(AssertionError):
            require_same(found, snapshot(LAST))


def test_a_run_without_one_whole_checkpoint_is_refused_and_nothing_is_removed(copy):
    for step in (FIRST, LAST):
        for file in files(copy / str(step) / "state" / "d"):
            file.write_bytes(b"")
    before = files(copy)
    with refused(copy, 10, 5, recorded=False):  # leaves are read in any order
        restore(copy)
    assert files(copy) == before


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files"),
        OSError(errno.ESTALE, "Stale file handle"),
        OSError(errno.EIO, "Input/output error"),
        PermissionError(errno.EACCES, "Permission denied"),
        TimeoutError(errno.ETIMEDOUT, "Connection timed out"),
        # As TensorStore says it, which reads arrays.
        ValueError("RESOURCE_EXHAUSTED: Failed to open: Too many open files [os_error_code='24']"),
        ValueError("UNKNOWN: Error reading: Input/output error [os_error_code='5']"),
        ValueError("ABORTED: All 33 retry attempts failed: CURL error Could not connect to server"),
    ],
    ids=lambda error: str(error).partition(":")[0],
)
@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.sampled
def test_an_error_that_may_pass_is_no_damage(copy, monkeypatch, error, wrapped):
    before = files(copy)
    original = checkpoint.ocp.StandardCheckpointHandler.restore

    def read(self, folder, *arguments, **keywords):
        if folder.parent.name == str(LAST) and folder.name == "state":
            if wrapped:  # as orbax does
                raise Exception("Encountered error while reading array index") from error
            raise error
        return original(self, folder, *arguments, **keywords)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint.ocp.StandardCheckpointHandler, "restore", read)
        with refused(copy / "10"):
            restore(copy)
    assert files(copy) == before
    require_same(restore(copy), snapshot(LAST))


def test_a_process_with_too_many_open_files_finds_no_damage(copy):
    """An error of the operating system's own, in whatever words it comes through."""
    before, limits = files(copy), resource.getrlimit(resource.RLIMIT_NOFILE)
    with Checkpoints(copy) as checkpoints:
        _, reason = checkpoints._try(LAST, state(0), history(0))  # what is opened once is open
        assert reason == ""
        spare = os.open(os.devnull, os.O_RDONLY)
        resource.setrlimit(resource.RLIMIT_NOFILE, (spare, limits[1]))
        try:
            with refused(copy / "10", recorded=False):  # no file can be opened to compare
                checkpoints.restore(state(0), history(0))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            os.close(spare)
    assert files(copy) == before


def test_the_parameters_of_a_damaged_checkpoint_are_refused(tmp_path):
    one = jax.tree.map(lambda leaf: leaf[:1], state(LAST))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(Snapshot(LAST, one, {}, History.empty(1, (LAST,), {})))
    parameters, multipliers = restore_parameters(tmp_path)
    jax.tree.map(
        lambda read, written: np.testing.assert_array_equal(read, written[0]),
        (parameters, multipliers),
        (one.parameters, one.multipliers),
    )
    (tmp_path / str(LAST) / "run" / "metadata").write_text('{"trials": 1, "state": {}}')
    with refused(tmp_path):
        restore_parameters(tmp_path)


def test_parameters_that_cannot_be_read_for_now_are_not_called_damaged(copy, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(checkpoint.ocp.JsonCheckpointHandler, "restore", denied)
    with refused(copy):
        restore_parameters(copy)


@pytest.mark.parametrize("filled", [3, 4, 8])
@pytest.mark.parametrize("wanted", [3, 4, 6])
@pytest.mark.sampled
def test_trials_that_fill_up_the_mesh_may_be_others_than_were_written(tmp_path, filled, wanted):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(snapshot(LAST, filled))
    found = restore(tmp_path, wanted)

    assert all(len(leaf) == wanted for leaf in jax.tree.leaves(found.state))
    own = jax.tree.map(lambda leaf: leaf[:TRIALS], found.state)
    jax.tree.map(np.testing.assert_array_equal, own, state(LAST))


@pytest.mark.parametrize("keep", [1, 3])
def test_as_many_checkpoints_are_kept_as_were_asked_for(tmp_path, keep):
    with Checkpoints(tmp_path, keep=keep) as checkpoints:
        for step in range(1, 5):
            checkpoints.save(snapshot(step))
    steps = sorted(int(each.name) for each in tmp_path.iterdir() if each.name.isdigit())
    assert steps == list(range(5 - keep, 5))


def test_what_a_killed_writer_left_is_no_checkpoint_and_is_cleared_away(copy):
    torn = copy / f"{LAST + 1}.orbax-checkpoint-tmp"
    shutil.copytree(copy / str(LAST), torn)
    assert restore(copy).step == LAST
    with Checkpoints(copy) as checkpoints:  # orbax clears up before its first save
        checkpoints.save(snapshot(LAST + 1))
    assert not torn.exists()
    assert restore(copy).step == LAST + 1


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with refused(tmp_path / "file" / "checkpoints"):
        Checkpoints(tmp_path / "file" / "checkpoints")


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with Checkpoints(tmp_path) as checkpoints:
        monkeypatch.setattr(checkpoints._manager, "save", full)
        with refused(tmp_path):
            checkpoints.save(snapshot(LAST))


QUIET = """
import gc, logging, pathlib, sys, warnings
from training.test_checkpoint import FIRST, LAST, restore, snapshot

def settings():
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio", "transfer")]
    return [(each.level, each.propagate, each.filters, each.handlers) for each in loggers]

before = repr((settings(), warnings.filters))
from transfer.training import Checkpoints
import transfer.cli.console
assert repr((settings(), warnings.filters)) == before, "an import changed logging"

folder = pathlib.Path(sys.argv[1])
with Checkpoints(folder) as checkpoints:
    for step in (FIRST, LAST):
        checkpoints.save(snapshot(step))
for file in (folder / str(LAST) / "state" / "d").iterdir():
    file.write_bytes(b"")
assert restore(folder).step == FIRST
gc.collect()
assert repr((settings(), warnings.filters)) == before, "logging is not as it was"
"""


def test_a_user_reads_one_sentence_of_a_damaged_checkpoint_and_nothing_of_orbax(tmp_path):
    """Imports, saves and reads leave logging as it was; what orbax logs is not printed."""
    done = subprocess.run(
        [sys.executable, "-c", QUIET, str(tmp_path)],
        cwd=pathlib.Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    (sentence,) = done.stderr.splitlines()
    assert f"The checkpoint of step {LAST} in {tmp_path} is damaged (" in sentence


elements = st.floats(-2.0, 2.0, width=32)


@hypothesis.given(
    st.integers(1, 4), st.integers(1, 6), st.integers(0, 3), st.randoms(use_true_random=False)
)
@hypothesis.settings(max_examples=25, deadline=None)
def test_a_digest_tells_every_change_of_an_element_that_counts(trials, size, filling, generator):
    values = np.array(
        [[generator.uniform(-2, 2) for _ in range(size)] for _ in range(trials)], np.float32
    )
    filled = np.concatenate([values, np.full((filling, size), generator.random(), np.float32)])
    whole = digests({"x": values}, trials)

    assert digests({"x": filled}, trials) == whole
    changed = values.copy()
    at = generator.randrange(trials), generator.randrange(size)
    changed[at] = np.nextafter(changed[at], np.float32(np.inf), dtype=np.float32)
    assert digests({"x": changed}, trials) != whole
    turned = values[::-1, ::-1].copy()
    assert np.array_equal(turned, values) or digests({"x": turned}, trials) != whole


@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_a_digest_tells_every_bit_of_an_element_of_64(dtype):
    with jax.enable_x64(True):
        values = np.arange(1, 7).reshape(2, 3).astype(dtype)
        whole = digests({"x": jnp.asarray(values)}, 2)
        for bit in range(64):
            changed = values.copy()
            changed.view("uint64")[1, 2] ^= np.uint64(1 << bit)
            assert digests({"x": jnp.asarray(changed)}, 2) != whole
            assert digests({"x": jnp.asarray(changed)}, 1) == digests({"x": values}, 1)
