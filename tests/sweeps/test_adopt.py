"""Hyperparameters are trained as they were tuned, moved where a rule says how, or refused."""

import dataclasses
import json

import pytest
from refusals import refused

from transfer.analysis import Prediction
from transfer.config import Experiment, read
from transfer.sweeps import adopted, extrapolated, tuned_for

SWEEP = {
    "base_width": 8,
    "model": {"width": 32, "layers": 2, "head_dim": 8, "feed_forward_multiple": 2.0},
    "data": {"name": "synthetic", "sequence_length": 16, "batch_size": 4},
    "hyperparameters": {"learning_rate": 2.0**-6, "weight_decay": 0.1},
    "training": {"steps": 20, "warmup": 4, "decay_steps": 0},
    "sweep": {"widths": (8, 16)},
}
RULED = {"recipe": {"depth": "completep", "horizon": "sde"}}


def configuration(*changes: dict) -> Experiment:
    """The sweep's configuration with changes to its sections."""
    content = json.loads(json.dumps(SWEEP))
    for change in changes:
        for key, value in change.items():
            section, _, name = key.rpartition(".")
            if section:
                content.setdefault(section, {})[name] = value
            elif isinstance(value, dict):
                content[key] = content.get(key, {}) | value
            else:
                content[key] = value
    return read(content)


def predicted(sweep: Experiment, width: int = 32, **axes: int) -> Prediction:
    """A prediction from the sweep, as it is read from its file."""
    prediction = Prediction(
        recipe="mup+sqrt",
        target_width=width,
        base_width=sweep.base_width,
        proxy_widths=(8, 16),
        learning_rate=0.0123,
        log2_learning_rate=-6.35,
        log2_learning_rate_interval=None,
        weight_decay=0.45,
        log2_weight_decay_interval=None,
        multipliers={"readout_output": 3.0},
        notes=(),
    )
    moved = dataclasses.replace(
        extrapolated(sweep, prediction, **axes), tuned_for=tuned_for(sweep, "0f3a")
    )
    read_again = Prediction.from_json(json.loads(json.dumps(moved.to_json(), allow_nan=False)))
    assert read_again == moved
    return read_again


@pytest.fixture(scope="module")
def plain():
    return predicted(configuration())


@pytest.fixture(scope="module")
def ruled():
    return predicted(configuration(RULED))


def test_the_sweeps_own_configuration_is_trained_at_the_target_and_nothing_is_told(plain):
    found = adopted(configuration(), predicted(configuration(), 64))
    assert (found.notes, found.data_fingerprint) == ((), "0f3a")
    assert found.experiment.model.width == 64
    tuned = found.experiment.hyperparameters
    assert (tuned.learning_rate, tuned.weight_decay, tuned.readout_output) == (0.0123, 0.45, 3.0)
    assert found.experiment.training == configuration().training


@pytest.mark.parametrize(
    "beside",
    [
        {"name": "mine", "seed": 3, "mesh": {"fsdp": 2}, "sweep": {"widths": (8, 64)}},
        {"data.data_dir": "/elsewhere", "data.eval_sequences": 512},
        {"model.remat": "full", "model.attention": "xla"},
        {"training.checkpoint_every": 5, "training.microbatches": 2, "training.log_every": 7},
        {"recipe.name": "mup"},  # which is mup+sqrt in full
        {"recipe.depth": "completep", "recipe.horizon": "sde"},  # which change nothing here
        {"base_layers": 2, "base_batch_size": 4, "base_tokens": 20 * 4 * 16},  # as they were
    ],
)
def test_what_decides_no_optimum_may_differ(plain, beside):
    assert adopted(configuration(beside), plain).notes == ()


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"training.optimizer": "lion"}, ("training.optimizer", "lion", "adamw")),
        ({"training.b2": 0.99}, ("training.b2", 0.99, 0.95)),
        ({"training.epsilon": 1e-6}, ("training.epsilon", 1e-06, 1e-08)),
        ({"training.clip": 0.0}, ("training.clip", 0.0, 1.0)),
        ({"training.schedule": "constant"}, ("training.schedule", "constant", "cosine")),
        ({"training.warmup": 5}, ("training.warmup", 5, 4)),
        ({"model.layers": 3}, (3, 2, "recipe.depth")),
        ({"model.qk_norm": True}, ("model.qk_norm", True, False)),
        ({"model.dtype": "float32"}, ("model.dtype", "float32", "bfloat16")),
        ({"data.batch_size": 8}, (8, 4, "recipe.horizon")),
        ({"training.steps": 40}, (40 * 64, 20 * 64, "recipe.horizon")),
        ({"training.tokens_per_parameter": 1.0}, ("training.tokens_per_parameter", 1.0, 0.0)),
        ({"data.sequence_length": 32}, ("data.sequence_length", 32, 16)),
        ({"data.name": "stdlib_text"}, ("data.name", "stdlib_text", "synthetic")),
        ({"recipe.clipping": "raw"}, ("recipe.clipping", "raw", "empty")),
        ({"recipe.decay_readout": True}, ("recipe.decay_readout", True, False)),
        ({"recipe.name": "mup_table3"}, ("recipe.name", "mup_table3+sqrt", "mup+sqrt")),
        ({"base_width": 16}, ("base_width", 16, 8)),
        ({"base_layers": 1, "recipe.depth": "completep"}, ("base_layers", 1, 0)),
        ({"hyperparameters.learning_rate": 0.5}, ("hyperparameters.learning_rate", 0.5)),
        ({"model.width": 16}, ("model.width", 16, 32)),
        ({"model": {"width": 8}}, ("model.width", 8)),
    ],
)
def test_what_no_rule_covers_is_refused(plain, change, names):
    with refused(*names):
        adopted(configuration(change), plain)


def test_files_of_ones_own_may_have_moved():
    swept = predicted(configuration({"data.name": "folder:corpus"}))
    found = adopted(configuration({"data.name": "folder:/mnt/corpus"}), swept)
    assert (found.notes, found.data_fingerprint) == ((), "0f3a")
    assert found.experiment.data.name == "folder:/mnt/corpus"
    with refused("data.name", "folder:corpus", "synthetic"):
        adopted(configuration(), swept)


def test_more_than_three_differences_are_counted(plain):
    many = {f"training.{name}": 0.5 for name in ("b1", "b2", "epsilon", "clip", "momentum")}
    with refused(2, "training.b1", "--allow_mismatch"):
        adopted(configuration(many), plain)


def test_another_kind_of_model_is_refused_whatever_is_allowed(plain):
    images = read({"model": {"kind": "cnn"}, "data": {"kind": "images"}})
    with refused("cnn", "images", "transformer", "text"):
        adopted(images, plain, allow_mismatch=True)


def test_another_width_is_moved_to_and_told(plain):
    found = adopted(configuration({"model.width": 48}), plain)
    assert found.experiment.model.width == 48
    assert [note.partition(";")[0] for note in found.notes] == [
        "Moved as the recipe says, width 32 -> 48 (x 1.5)"
    ] * 2


def test_depth_batch_size_and_length_are_moved_to_and_told(ruled):
    change = {"model.layers": 4, "data.batch_size": 8, "training.steps": 40}
    found = adopted(configuration(RULED, change), ruled)
    target = found.experiment
    assert (target.model.layers, target.base_layers) == (4, 2)
    assert (target.data.batch_size, target.base_batch_size) == (8, 4)
    # Twice the steps of twice the batch: the same equation, over four times the tokens.
    assert (target.training.steps, target.base_tokens) == (40, 20 * 64)
    assert target.training.warmup == 8
    group = target.single_run()
    assert group.horizon(target.recipe.build()).learning_rate == pytest.approx(0.5**0.5)
    axes = [note.split()[5] for note in found.notes if note.startswith("Moved")]
    assert axes == ["depth", "batch", "tokens"]
    assert "training.warmup is 8, the same share of the run as in the sweep." in found.notes


def test_the_same_target_by_prediction_and_by_configuration(ruled):
    """Asked of `predict`, of `train`, or of both, it is one run."""
    sizes = {"model.layers": 4, "training.steps": 40}
    asked = predicted(configuration(RULED), layers=4, tokens=40 * 64)
    runs = [
        adopted(configuration(RULED), asked).experiment,
        adopted(configuration(RULED, sizes), asked).experiment,
        adopted(configuration(RULED, sizes), ruled).experiment,
        adopted(configuration(RULED, sizes, {"training.warmup": 8}), ruled).experiment,
    ]
    assert runs[1:] == runs[:1] * 3


def test_a_warmup_may_keep_its_share_of_a_run_whose_length_follows_its_size():
    length = {"training": {"tokens_per_parameter": 0.1, "steps": 1}}
    sweep = configuration(length)
    prediction = predicted(sweep, 64)
    longer = configuration(length, {"model.width": 64}).steps(64) / sweep.steps(16)
    assert longer > 2
    share = {"model.width": 64, "training.warmup": round(4 * longer)}
    found = adopted(configuration(length, share), prediction)
    assert (found.experiment.training.warmup, found.notes) == (round(4 * longer), ())
    as_it_is = adopted(configuration(length), prediction)
    assert (as_it_is.experiment.training.warmup, as_it_is.notes) == (4, ())


def test_a_base_that_the_configuration_leaves_out_is_the_sweeps():
    sweep = configuration(RULED, {"base_batch_size": 2})
    found = adopted(configuration(RULED), predicted(sweep))
    assert found.experiment.base_batch_size == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"training.optimizer": "lion"}, "training.optimizer is lion but was adamw."),
        ({"model.layers": 3}, "model.layers is 3 but was 2."),
        ({"training.steps": 40}, "training.steps is 40 but was 20."),
        (
            {"hyperparameters.learning_rate": 0.5},
            "hyperparameters.learning_rate is 0.5 but was 0.015625.",
        ),
    ],
)
def test_a_mismatch_that_is_allowed_is_trained_as_configured_and_told(plain, change, told):
    found = adopted(configuration(change), plain, allow_mismatch=True)
    (key, value), *_ = change.items()
    section, _, name = key.partition(".")
    assert getattr(getattr(found.experiment, section), name) == value
    assert found.notes == (told,)
    assert found.data_fingerprint == ""
    assert found.experiment.model.width == 32
    if section != "hyperparameters":
        assert found.experiment.hyperparameters.learning_rate == 0.0123
    found.experiment.single_run().layout  # noqa: B018  # which refuses what no rule covers


def test_a_file_of_an_earlier_version_says_what_it_does_not(plain):
    found = adopted(configuration(), dataclasses.replace(plain, tuned_for=None))
    (note,) = found.notes
    assert "do not say what they were tuned for" in note
    assert found.data_fingerprint == ""
    assert found.experiment.hyperparameters.learning_rate == 0.0123


@pytest.mark.parametrize("record", [{}, {"experiment": 3}, {"experiment": {"modl": {}}}])
def test_a_record_that_is_none_is_refused(plain, record):
    with refused():
        adopted(configuration(), dataclasses.replace(plain, tuned_for=record))
