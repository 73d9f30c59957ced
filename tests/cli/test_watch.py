"""`transfer watch`: the page while a run trains, and nothing else."""

import json
import shutil
import socket
import urllib.error
import urllib.request

import pytest
from refusals import refused

from transfer.cli.watch import LiveReport, serving
from transfer.run_directory import RunDirectory


@pytest.fixture
def growing(tmp_path, swept):
    """A run directory without trials, and what adds those of the sweep."""
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(swept / "config.json", folder)

    def grow():
        for name in ("metrics", "spectrum", "gains"):
            shutil.copytree(swept / name, folder / name, dirs_exist_ok=True)
        shutil.copy(swept / "trials.parquet", folder)

    return RunDirectory(folder), grow


@pytest.fixture
def served(growing):
    run, grow = growing
    live = LiveReport(run)
    server = serving(live, "127.0.0.1", 0)
    yield live, grow, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def read(address):
    with urllib.request.urlopen(address, timeout=10) as answer:
        return answer.read().decode()


def test_the_page_is_renewed_when_trials_end(served):
    live, grow, address = served
    assert not live.renew()
    assert "No trial has ended yet" in read(f"{address}/report")
    before = json.loads(read(f"{address}/state"))
    grow()
    assert live.renew()
    assert not live.renew()
    after = json.loads(read(f"{address}/state"))
    assert after["version"] == before["version"] + 1
    assert "8 trials" not in before["said"]
    assert f"{live.trials} trials, nobody trains it now" in after["said"]
    assert "mup+sqrt" in read(f"{address}/report")
    with live._run.exclusive():
        assert "training (process" in json.loads(read(f"{address}/state"))["said"]


@pytest.mark.parametrize("path", ["/config.json", "/../config.json", "/report/../trials.parquet"])
def test_nothing_else_is_served(served, path):
    _, grow, address = served
    grow()
    with pytest.raises(urllib.error.HTTPError) as error:
        read(f"{address}{path}")
    assert error.value.code == 404


def test_a_port_that_is_taken_is_a_sentence(growing):
    run, _ = growing
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with refused(port, "--port", recorded=False):
            serving(LiveReport(run), "127.0.0.1", port)
