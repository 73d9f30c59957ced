import contextlib

import jax
import pytest

from .tiny import SETTINGS, train


@contextlib.contextmanager
def compilations():
    """Collect one entry for every program that JAX compiles, from a cache or not."""
    found = []

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            found.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def test_the_counter_sees_each_program_once():
    def program(x):
        return x * 3 + 1

    with compilations() as found:
        for _ in range(2):
            jax.jit(program)(1.0)
    assert len(found) == 1


@pytest.mark.parametrize("count", [1, 3])
def test_five_programs_serve_all_trials_and_a_shorter_last_chunk(count):
    train(SETTINGS[:count])  # compiles what is shared by every run, such as making a random key

    chunks = []
    with compilations() as found:
        train(SETTINGS[:count], progress=lambda fraction, loss: chunks.append(fraction))

    assert chunks == [0.4, 0.8, 1.0]
    assert len(found) == 5  # init, run, evaluate, hidden, measure
