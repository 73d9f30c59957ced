"""Programs that are kept on disk: who reads them, and what may be wrong with the folder."""

import contextlib
import json
import logging
import os
import pathlib
import subprocess
import sys

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache as of_jax

from transfer.training import compilation_cache
from transfer.training.compilation_cache import VARIABLE, use_compilation_cache

ROOT = pathlib.Path(__file__).parents[2]
SETTINGS = tuple(compilation_cache._DEFAULTS)


@contextlib.contextmanager
def counted():
    """Count what JAX asks its cache for, and what it finds there."""
    counts = {"asked": 0, "found": 0}
    names = {
        "/jax/compilation_cache/compile_requests_use_cache": "asked",
        "/jax/compilation_cache/cache_hits": "found",
    }

    def listen(event, **_):
        if event in names:
            counts[names[event]] += 1

    jax.monitoring.register_event_listener(listen)
    try:
        yield counts
    finally:
        jax.monitoring.unregister_event_listener(listen)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where this test keeps programs, with the cache of all tests set aside."""
    before = {name: getattr(jax.config, name) for name in SETTINGS}
    jax.config.update("jax_compilation_cache_dir", None)
    of_jax.reset_cache()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "compiled"))
    yield tmp_path / "compiled"
    for name, value in before.items():
        jax.config.update(name, value)
    of_jax.reset_cache()


def compile_anew(shift=1.0):
    """Compile a program that this process holds no more; return whether it was found on disk."""
    jax.clear_caches()
    with counted() as counts:
        jax.jit(lambda x: x + shift).lower(jax.ShapeDtypeStruct((), "float32")).compile()
    assert counts["asked"] <= 1
    return counts["found"] == 1


def entries(folder):
    return sorted(folder.glob("*-cache")) if folder.exists() else []


def test_programs_are_kept_inside_the_block_alone(folder):
    before = {name: getattr(jax.config, name) for name in SETTINGS}
    with use_compilation_cache():
        assert [compile_anew(), compile_anew()] == [False, True]
    kept = entries(folder)
    assert not compile_anew()
    assert not compile_anew(2.0)
    assert entries(folder) == kept
    assert {name: getattr(jax.config, name) for name in SETTINGS} == before


SWEEP = """
import json, sys
from sweeps.small import experiment, swept
from training.test_compilation_cache import counted
from transfer.sweeps import run_sweep
with counted() as counts:
    run_sweep(swept(experiment(), widths=(8,)), sys.argv[1])
print(json.dumps(counts))
"""


def test_the_sweep_of_a_second_process_compiles_nothing(folder, tmp_path):
    def sweep(run):
        done = subprocess.run(
            [sys.executable, "-c", SWEEP, str(tmp_path / run)],
            env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert "cache" not in done.stderr.lower()
        return json.loads(done.stdout.splitlines()[-1])

    first, second = sweep("first"), sweep("second")
    assert first["found"] == 0
    assert second["found"] == second["asked"] == first["asked"] >= 5


@pytest.mark.parametrize(
    "switch",
    [
        lambda patch, own: patch.setenv(VARIABLE, "none"),
        lambda patch, own: jax.config.update("jax_enable_compilation_cache", False),
        lambda patch, own: jax.config.update("jax_compilation_cache_dir", str(own)),
    ],
    ids=["none", "JAX's own switch", "a folder of JAX's own"],
)
def test_where_it_is_switched_off_or_jax_has_a_folder_nothing_changes(
    folder, tmp_path, monkeypatch, switch
):
    own = tmp_path / "own"
    switch(monkeypatch, own)
    before = {name: getattr(jax.config, name) for name in SETTINGS}
    with use_compilation_cache():
        assert {name: getattr(jax.config, name) for name in SETTINGS} == before
        compile_anew()
    assert not folder.exists()


def test_a_bound_of_ones_own_stays(folder):
    jax.config.update("jax_compilation_cache_max_size", 0)
    with use_compilation_cache():
        assert jax.config.jax_compilation_cache_max_size == 0
    jax.config.update("jax_compilation_cache_max_size", -1)
    with use_compilation_cache():
        assert jax.config.jax_compilation_cache_max_size == compilation_cache._MAX_BYTES


def test_a_folder_that_cannot_be_used_is_said_and_training_goes_on(
    folder, tmp_path, monkeypatch, caplog
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file" / "compiled"))
    with caplog.at_level(logging.WARNING, "transfer"), use_compilation_cache():
        assert [compile_anew(), compile_anew()] == [False, False]
    (record,) = caplog.records
    assert record.getMessage().startswith("Compiled programs are not kept for later runs (")
    assert VARIABLE in record.getMessage()


def test_a_folder_of_another_user_is_not_read(folder, monkeypatch, caplog):
    with use_compilation_cache():
        compile_anew()
    monkeypatch.setattr("os.geteuid", lambda: folder.stat().st_uid + 1)
    with use_compilation_cache():
        assert not compile_anew()
    assert "belongs to another user" in caplog.text


def test_a_program_that_a_killed_process_left_half_written_is_compiled_again(folder):
    with use_compilation_cache():
        compile_anew()
        assert compile_anew()
    (whole,) = entries(folder)
    whole.write_bytes(whole.read_bytes()[:100])
    whole.with_name(whole.name.removesuffix("cache") + "atime").unlink()
    with use_compilation_cache():
        assert [compile_anew(), compile_anew()] == [False, True]


def test_the_folder_stays_below_its_bound(folder, monkeypatch):
    with use_compilation_cache():
        compile_anew()
    (one,) = entries(folder)
    monkeypatch.setattr(compilation_cache, "_MAX_BYTES", int(2.5 * one.stat().st_size))
    with use_compilation_cache():
        for shift in (2.0, 1.0, 3.0):
            compile_anew(shift)
        assert len(entries(folder)) == 2
        # The one that was not used for the longest time is gone.
        assert [compile_anew(1.0), compile_anew(3.0), compile_anew(2.0)] == [True, True, False]


@pytest.mark.parametrize(
    ("platform", "named", "expected"),
    [
        ("linux", None, "home/.cache"),
        ("linux", "/elsewhere", "/elsewhere"),
        ("linux", "relative", "home/.cache"),
        ("darwin", "/elsewhere", "home/Library/Caches"),
    ],
)
def test_the_default_is_in_the_cache_folder_of_the_user(
    monkeypatch, tmp_path, platform, named, expected
):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if named:
        monkeypatch.setenv("XDG_CACHE_HOME", named)
    assert compilation_cache.default_folder() == tmp_path / expected / "transfer" / "compiled"
