import importlib.util

import jax
import pytest

from .terminal import transfer

SWEEP = ("sweep", "--config=tiny.py", "--run=new")


@pytest.fixture(autouse=True)
def platforms():
    """The launcher keeps this process off the accelerators; the tests after these may want them."""
    before = jax.config.jax_platforms
    yield
    jax.config.update("jax_platforms", before)


def test_without_ray_it_is_said_how_to_get_it(refused, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "ray" else find(name, *rest),
    )
    error = refused(*SWEEP, "--launcher=ray")
    assert "--launcher=ray needs Ray, which is not installed" in error
    assert "pip install 'transfer[ray]'" in error


@pytest.mark.parametrize(
    "flag", ["--address=auto", "--processes=2", "--gpus=1", "--slices=v6e:2x2"]
)
def test_flags_of_a_cluster_need_one(refused, flag):
    name = flag.partition("=")[0]
    assert f"{name} is about a cluster; expected --launcher=ray" in refused(*SWEEP, flag)


def test_no_cluster_at_an_address(workplace, capsys):
    # Port 1 of this machine, where nothing listens.
    assert transfer(*SWEEP, "--launcher=ray", "--address=127.0.0.1:1") == 1
    error = capsys.readouterr().err
    assert "No Ray cluster was reached at 127.0.0.1:1" in error
    assert "ray start --head" in error


def test_what_is_no_address_of_a_cluster(workplace, capsys):
    assert transfer(*SWEEP, "--launcher=ray", "--address=here") == 1
    assert 'The address "here" is none of a Ray cluster' in capsys.readouterr().err
