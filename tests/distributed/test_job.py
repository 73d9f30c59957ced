import http.server
import threading

import jax
import pytest
from refusals import refused

from transfer.distributed import job, timeouts


@pytest.mark.parametrize(
    ("environment", "several"),
    [
        ({}, False),
        ({"JAX_COORDINATOR_ADDRESS": "10.0.0.1:1234"}, True),
        # The shell of a job of many tasks is not one of them.
        ({"SLURM_JOB_ID": "1", "SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, False),
        ({"SLURM_STEP_NUM_TASKS": "8"}, True),
        ({"SLURM_STEP_NUM_TASKS": "1"}, False),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, True),
        ({"TPU_WORKER_HOSTNAMES": "a"}, False),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, True),
        ({"TPU_PROCESS_ADDRESSES": "a:8476,b:8476"}, True),
        ({"TPU_WORKER_HOSTNAMES": "a", "MEGASCALE_NUM_SLICES": "2"}, True),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, False),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0"}, True),
    ],
)
def test_a_job_of_several_processes_is_told_by_its_environment(environment, several):
    assert job.described(environment) == several


@pytest.mark.parametrize("workers", [1, 4])
def test_the_hosts_of_a_tpu_slice_are_told_by_the_metadata_server(monkeypatch, workers):
    asked = []

    class Metadata(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers["Metadata-Flavor"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(",".join(f"worker:{i}:10.0.0.{i}" for i in range(workers)).encode())

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Metadata) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(job, "has_tpu", lambda: True)
        monkeypatch.delenv("TPU_SKIP_MDS_QUERY", raising=False)  # which JAX sets without a TPU
        monkeypatch.setenv("GCE_METADATA_IP", f"127.0.0.1:{server.server_port}")
        assert job.described({}) == (workers > 1)
        server.shutdown()
    path = "/computeMetadata/v1/instance/attributes/worker-network-endpoints"
    assert asked == [(path, "Google")]


def test_a_machine_without_a_tpu_asks_nobody(monkeypatch):
    monkeypatch.setattr(job, "has_tpu", lambda: False)
    monkeypatch.setenv("GCE_METADATA_IP", "this would raise, being no address")
    assert job.tpu_hosts() == 1


def test_a_number_of_processes_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("JAX_NUM_PROCESSES", "two")
    with refused("JAX_NUM_PROCESSES", "two"), job.join():
        pass
    assert not job.joined()


@pytest.mark.parametrize(
    ("kind", "message", "lost"),
    [
        (
            jax.errors.JaxRuntimeError,
            "UNKNOWN: Gloo all-reduce failed: Connection closed by peer [127.0.0.1]:1",
            True,
        ),
        (jax.errors.JaxRuntimeError, "UNAVAILABLE: Socket closed", True),
        (jax.errors.JaxRuntimeError, "RESOURCE_EXHAUSTED: out of memory", False),
        (jax.errors.JaxRuntimeError, "RESOURCE_EXHAUSTED: NCCL out of memory", False),
        # What storage says, and what a bug of one's own may.
        (ValueError, "UNAVAILABLE: Error reading gs://bucket/state: Socket closed", False),
        (OSError, "Connection closed", False),
        (KeyError, "heartbeat", False),
    ],
)
def test_the_loss_of_another_process_is_told_from_other_errors(kind, message, lost):
    sentence = job.lost_process(kind(message + "\nat some place"))
    assert bool(sentence) == lost
    if lost:
        assert message in sentence
        assert "\n" not in sentence


@pytest.mark.parametrize(("text", "seconds"), [("", 100.0), ("5", 5.0), ("2.5", 2.5)])
def test_the_bound_on_waiting_is_a_setting(monkeypatch, text, seconds):
    monkeypatch.setenv("TRANSFER_PEER_TIMEOUT", text)
    assert (timeouts.heartbeat_seconds(), timeouts.collective_seconds()) == (seconds, 6 * seconds)


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_a_bound_that_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv("TRANSFER_PEER_TIMEOUT", text)
    with refused("TRANSFER_PEER_TIMEOUT", text):
        timeouts.heartbeat_seconds()


def test_collectives_between_cpus_are_gloos():
    assert jax.config.jax_cpu_collectives_implementation == "gloo"
