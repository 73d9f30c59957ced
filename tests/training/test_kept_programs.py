"""Programs of groups of one shape, and of the group that comes next."""

import dataclasses

import numpy as np

from transfer.data import load_dataset
from transfer.scaling import Recipe
from transfer.training import train
from transfer.training.kept_programs import KeptPrograms

from .test_compilation import compilations
from .tiny import DATA, SETTINGS, group

FIRST = group(SETTINGS[:2])
# Other learning rates, multipliers and recipe, and as many seeds.
ALIKE = group(SETTINGS[1::-1], recipe=Recipe("mup", decay="constant"))
OTHER = dataclasses.replace(FIRST, training=dataclasses.replace(FIRST.training, b2=0.9))


def compiled(trained, kept, **changes):
    """Train a group; return its outcome and how many programs were compiled for it."""
    with compilations() as found:
        outcome = train(trained, load_dataset(DATA), kept=kept, **changes)
    return outcome, len(found)


def test_groups_of_one_shape_share_their_programs():
    kept = KeptPrograms()
    alone, _ = compiled(ALIKE, None)  # compiles too what is shared by every run
    assert compiled(FIRST, kept)[1] == 5
    together, again = compiled(ALIKE, kept)
    assert again == 0
    np.testing.assert_array_equal(together.history["loss"], alone.history["loss"])
    # What is compiled in, such as beta 2, makes another program.
    assert compiled(OTHER, kept)[1] == 5
    # Of the last two shapes, each is there.
    assert [compiled(each, kept)[1] for each in (OTHER, FIRST)] == [0, 0]
    kept.forget()
    assert compiled(FIRST, kept)[1] == 5


def test_the_next_group_is_compiled_while_one_trains():
    kept = KeptPrograms()
    compiled(FIRST, None)
    # In as many parts as there are chunks, of which the last may be left over.
    parts = kept.prepare(OTHER, load_dataset(DATA))
    compiled(FIRST, kept, meanwhile=parts)
    for _ in parts:
        pass
    _, programs = kept._kept[-1]
    programs.wait()
    assert compiled(OTHER, kept)[1] == 0


def test_what_is_wrong_with_the_next_group_does_not_stop_this_one():
    kept = KeptPrograms()
    wrong = dataclasses.replace(FIRST, training=dataclasses.replace(FIRST.training, warmup=10**6))
    outcome, _ = compiled(FIRST, kept, meanwhile=kept.prepare(wrong, load_dataset(DATA)))
    assert np.isfinite(outcome.history["loss"]).all()
