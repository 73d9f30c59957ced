"""The benchmarks compare equals, take turns, resume, and say what was not reached."""

import json
import pathlib
import runpy
import subprocess
import sys

import jax
import numpy as np
import pytest

from benchmarks import goals, page, project, setting, step, sweep, workers
from benchmarks.commands import ColdAndWarm, CommandError, seconds
from benchmarks.options import Options, environment
from benchmarks.results import Ratio, Results, code_of
from transfer.config import read
from transfer.errors import TransferError
from transfer.scaling import Recipe

STEPS = 10
WIDTH = 32
UNDER = {
    "machine": {"processor": "P", "cores": 2, "memory_gib": 8, "system": "S"},
    "python": "3",
    "versions": {"jax": "1"},
    "library": "abc",
}


# The peers.


def torch_weights(parameters):
    """One trial's parameters by the names, and in the shapes, of the decoder in torch."""

    def rows(*kernels, inputs=1):
        flat = [each.reshape(int(np.prod(each.shape[:inputs])), -1) for each in kernels]
        return np.concatenate(flat, axis=1).T

    weights = {
        "embedding": parameters["embedding"]["table"],
        "norm": parameters["norm"]["gain"],
        "readout": rows(parameters["readout"]["kernel"]),
    }
    for layer in range(setting.LAYERS):
        block = jax.tree.map(lambda leaf, layer=layer: leaf[layer], parameters["blocks"])
        attention, feed_forward = block["attention"], block["feed_forward"]
        weights |= {
            f"blocks.{layer}.{name}": array
            for name, array in {
                "attention_norm": block["attention_norm"]["gain"],
                "attention.qkv": rows(
                    *(attention[name]["kernel"] for name in ("query", "key", "value"))
                ),
                "attention.out": rows(attention["out"]["kernel"], inputs=2),
                "feed_forward_norm": block["feed_forward_norm"]["gain"],
                "feed_forward.gate_up": rows(
                    *(feed_forward[name]["kernel"] for name in ("gate", "up"))
                ),
                "feed_forward.down": rows(feed_forward["down"]["kernel"]),
            }.items()
        }
    return {f"{name}.weight": np.asarray(array) for name, array in weights.items()}


@pytest.fixture(scope="module")
def peers():
    """The options with an interpreter that has torch, without which its tests are skipped."""
    options = Options()
    try:
        options.torch_version()
    except TransferError as error:
        pytest.skip(str(error))
    return options


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("standard", Recipe("standard", clipping="raw")),
        ("mup+sqrt", Recipe("mup", decay="sqrt", clipping="raw")),
        # Its AdamW keeps learning rate times decay at every width.
        ("mup", Recipe("mup", decay="independent", clipping="raw")),
    ],
)
def test_the_peer_in_torch_has_the_losses_of_this_library(peers, name, recipe, tmp_path):
    batches = np.random.default_rng(0).integers(0, setting.VOCABULARY, (STEPS, 16, 65))
    model = project.transformer(WIDTH)
    trained = project.prepare(
        model, 1, batches=batches.astype(np.int32), steps=setting.STEPS, recipe=recipe
    )
    start = jax.tree.map(lambda leaf: np.asarray(leaf[0]), trained.state.parameters)
    np.savez(tmp_path / "weights.npz", **torch_weights(start))
    np.savez(tmp_path / "batches.npz", train=batches)

    def theirs(*more):
        argv = peers.peer(
            "losses",
            f"--width={WIDTH}",
            f"--weights={tmp_path / 'weights.npz'}",
            f"--batches={tmp_path / 'batches.npz'}",
            f"--recipe={name}",
            *more,
        )
        done = subprocess.run(
            argv, cwd=workers.ROOT, env=environment(), capture_output=True, text=True, check=True
        )
        return np.array(json.loads(done.stdout))

    (ours,) = trained.train(STEPS)

    # Losses are near 6, and both sum in float32.
    np.testing.assert_allclose(theirs(), ours, rtol=0, atol=1e-5)
    faster = theirs(f"--learning_rate={1.01 * setting.LEARNING_RATE}")
    assert np.max(np.abs(faster - ours)) > 1e-4


@pytest.mark.parametrize("name", sweep.SWEEPS)
def test_a_swept_configuration_is_what_the_peers_train(name):
    file, widths, recipes = sweep.SWEEPS[name]
    experiment = read(runpy.run_path(str(sweep.CONFIGS / file))["get_config"]())

    assert experiment.sweep.widths == widths
    assert experiment.sweep.recipes == recipes
    assert experiment.sweep.space.learning_rate == setting.LEARNING_RATES
    assert experiment.at(64) == project.transformer(64)
    assert experiment.data == project.DATA
    assert experiment.base_width == setting.BASE_WIDTH
    assert experiment.hyperparameters.weight_decay == setting.WEIGHT_DECAY
    training = experiment.training
    assert (training.steps, training.warmup) == (setting.STEPS, setting.WARMUP)
    assert (training.b1, training.b2) == setting.BETAS
    assert (training.epsilon, training.clip) == (setting.EPSILON, setting.CLIP)


def test_an_interpreter_without_torch_is_refused(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)

    with pytest.raises(TransferError, match=str(python)):
        Options(torch=str(python)).torch_version()


# How times are taken.


def served(body):
    return workers.Worker([sys.executable, "-c", body], environment())


def test_a_worker_takes_as_many_steps_as_it_is_asked_for_and_says_how_long_they_took():
    body = (
        "import time; from benchmarks.workers import serve; print('noise');"
        "serve(lambda steps: time.sleep(0.01 * steps))"
    )
    with served(body) as one, served(body) as other:
        one.ready()
        other.ready()
        # Sleeping takes at least so long, whatever else the machine does.
        assert workers.seconds_together([one, other], 5) >= 0.05


def test_a_worker_that_ends_says_why():
    with (
        served("raise ValueError('no such width')") as worker,
        pytest.raises(workers.WorkerError, match="no such width"),
    ):
        worker.ready()


def test_a_command_is_cold_with_an_empty_cache_and_warm_with_what_it_left():
    def run(cache):
        found = len(list(cache.iterdir()))
        (cache / f"{found}").touch()
        return float(found)

    with ColdAndWarm(run) as cached:
        assert [cached.warm(), cached.warm(), cached.cold(), cached.warm()] == [1.0, 2.0, 0.0, 1.0]


def test_a_command_that_fails_says_what_it_printed(tmp_path):
    argv = [sys.executable, "-c", "print('the last line'); raise SystemExit(3)"]

    with pytest.raises(CommandError, match=r"ended with 3(.|\n)*the last line"):
        seconds(argv, environment(), tmp_path)


# What is kept.


def test_contenders_take_turns_and_a_part_goes_on_with_its_next_block(tmp_path):
    called = []

    def contender(name):
        def measure():
            called.append(name)
            if called.count(name) > 2:
                raise KeyboardInterrupt
            return float(len(called))

        return measure

    results = Results({}, tmp_path / "results.json")
    contenders = {name: contender(name) for name in "ab"}
    with pytest.raises(KeyboardInterrupt):
        results.part("step", UNDER).alternate("case", contenders, 3)
    assert called == ["a", "b", "b", "a", "a"]

    part = Results.read(results.path).part("step", UNDER)
    assert part.content["cases"]["case"] == {"a": [1.0, 4.0], "b": [2.0, 3.0]}
    assert part.missing("case", 3)
    part.alternate("case", dict.fromkeys("ab", lambda: 0.0), 3)
    assert part.content["cases"]["case"] == {"a": [1.0, 4.0, 0.0], "b": [2.0, 3.0, 0.0]}
    assert not part.missing("case", 3)


def test_what_other_code_measured_is_measured_anew(tmp_path):
    results = Results({}, tmp_path / "results.json")
    results.part("step", UNDER).alternate("case", {"a": lambda: 1.0}, 1)

    assert not results.part("step", UNDER).missing("case", 1)
    assert results.part("step", UNDER | {"library": "def"}).missing("case", 1)


def test_code_is_named_by_what_it_says(tmp_path):
    file = tmp_path / "transfer" / "file.py"
    file.parent.mkdir()
    file.write_text("a = 1\n")
    first = code_of(tmp_path)
    (tmp_path / "README.md").touch()
    assert code_of(tmp_path) == first

    file.write_text("a = 2\n")
    assert code_of(tmp_path) != first


def test_a_ratio_is_of_medians_and_its_spread_of_blocks():
    assert Ratio.of([1.0, 2.0, 9.0], [2.0, 1.0, 3.0]) == (1.0, 0.5, 3.0)


# The page.


def part(cases, facts=None):
    times = {"began": "2030-01-01T10:00+00:00", "ended": "2030-01-01T11:00+00:00"}
    return {"under": UNDER, "revision": "1a2b", **times, "facts": facts or {}, "cases": cases}


def test_the_page_says_what_was_reached_what_was_not_and_what_was_not_measured():
    steps = {
        step.COMPILED: [10.0],
        step.SIDE_BY_SIDE: [8.5],
        step.ALONE: [13.0],
    }
    text = page.page({"step": part({"width 64": steps})})

    assert f"| {step.SIDE_BY_SIDE}, width 64 | 0.85 [0.85, 0.85] | at most 0.9 | yes |" in text
    assert f"| {step.ALONE}, width 64 | 1.30 [1.30, 1.30] | at most 1.2 | **no** |" in text
    assert text.count("Not measured.") == 4


def test_the_share_of_the_peak_is_that_of_a_step_with_a_trial_per_core():
    case = f"width {step.WIDTHS[-1]}"
    measured = {step.SIDE_BY_SIDE: [100.0], step.PEAK: [200.0]}
    goal = goals.peak_share(part({case: measured}, {f"{case}: FLOPs of a step": 13e9}))

    # 13 GFLOP in 0.1 s are 130 GFLOP/s.
    assert goal.ratio.median == pytest.approx(130 / 200)
    assert goal.reached


def test_sweeps_are_held_against_the_bounds_of_their_start():
    measured = {
        f"{name}, {start}": [value]
        for start, values in {
            sweep.COLD: (10.0, 12.0, 26.0),
            sweep.WARM: (5.0, 8.0, 13.0),
        }.items()
        for name, value in zip((sweep.OURS, sweep.COMPILED, sweep.PROCESSES), values, strict=True)
    } | {sweep.IN_TURN: [14.5]}
    reached = {goal.what: goal.reached for goal in goals.sweep_goals(part({"seconds": measured}))}

    assert reached == {
        f"{sweep.PROCESSES}, {sweep.COLD}": True,
        f"{sweep.COMPILED}, {sweep.COLD}": False,
        f"{sweep.PROCESSES}, {sweep.WARM}": False,
        f"{sweep.COMPILED}, {sweep.WARM}": True,
        f"{sweep.IN_TURN}, against {sweep.COLD}": False,
        f"{sweep.IN_TURN}, against {sweep.WARM}": True,
    }


def test_the_fastest_way_of_running_processes_depends_on_the_start():
    measured = {f"{way}, {sweep.COLD}": [9.0] for way in sweep.WAYS}
    measured["eager, a core each, cold"] = [6.0]
    measured["torch.compile, a core each, warm"] = [5.0]

    assert sweep.fastest_way(measured, sweep.COLD) == "eager, a core each"
    assert sweep.fastest_way(measured, sweep.WARM) == "torch.compile, a core each"


def test_the_committed_page_is_what_the_committed_results_say():
    assert page.PAGE.read_text() == page.page(Results.read().parts)


def test_committed_results_hold_no_path_of_a_machine():
    results = Results.read()

    assert str(pathlib.Path.home()) not in json.dumps(results.parts)
