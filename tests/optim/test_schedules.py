import math

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from transfer.optim import schedule


def values(name, steps, **phases):
    return [float(schedule(name, steps, **phases)(t)) for t in range(steps + 1)]


@pytest.mark.parametrize(
    ("name", "phases", "expected"),
    [
        ("constant", {}, [1, 1, 1, 1, 1, 1, 1, 1, 1]),
        ("linear", {}, [1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0]),
        ("cosine", {}, [(1 + math.cos(math.pi * t / 8)) / 2 for t in range(9)]),
        ("wsd", {"decay": 4}, [1, 1, 1, 1, 1, 3 / 4, 2 / 4, 1 / 4, 0]),
        ("constant", {"warmup": 4}, [1 / 4, 2 / 4, 3 / 4, 1, 1, 1, 1, 1, 1]),
        ("linear", {"warmup": 4}, [1 / 4, 2 / 4, 3 / 4, 1, 1, 3 / 4, 2 / 4, 1 / 4, 0]),
        ("wsd", {"warmup": 2, "decay": 4}, [1 / 2, 1, 1, 1, 1, 3 / 4, 2 / 4, 1 / 4, 0]),
        ("cosine", {"warmup": 6}, [1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1, 1, 1 / 2, 0]),
        ("linear", {"warmup": 1}, [1, *[1 - t / 7 for t in range(8)]]),
    ],
)
def test_schedules_as_they_are_defined(name, phases, expected):
    np.testing.assert_allclose(values(name, 8, **phases), expected, atol=1e-7)


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(["constant", "linear", "cosine", "wsd"]),
    st.integers(2, 50),
    st.floats(0, 0.49),
    st.floats(0, 0.49),
)
def test_no_step_is_wasted_and_none_exceeds_the_peak(name, steps, warmup, decay):
    phases = {"warmup": int(warmup * steps), "decay": max(1, int(decay * steps))}
    if name != "wsd":
        del phases["decay"]
    elif sum(phases.values()) >= steps:
        return
    run = values(name, steps, **phases)[:-1]
    assert min(run) > 0
    assert max(run) == 1.0


def test_a_schedule_may_be_traced():
    steps = jnp.arange(9)
    np.testing.assert_allclose(
        [schedule("wsd", 8, warmup=2, decay=2)(t) for t in steps],
        values("wsd", 8, warmup=2, decay=2),
    )


@pytest.mark.parametrize(
    ("name", "phases", "names"),
    [
        ("cosin", {}, ("cosin", "cosine")),
        ("linear", {"warmup": 8}, ("warmup", 8)),
        ("wsd", {"warmup": 4, "decay": 4}, (8,)),
        ("linear", {"warmup": -1}, ("warmup", -1)),
        ("wsd", {"decay": -1}, (-1,)),
        ("wsd", {}, (0,)),
        ("linear", {"decay": 2}, (2,)),
    ],
)
def test_what_fits_no_run_is_refused(name, phases, names):
    with refused(*names):
        schedule(name, 8, **phases)
