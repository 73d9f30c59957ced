"""How every test runs: on one CPU device, a sample of each matrix, the slowest files first.

`CONTRIBUTING.md` says what the options and the marks are for.
"""

import collections
import ctypes
import gc
import json
import math
import os
import pathlib
import resource
from collections.abc import Iterator

# JAX reads these when it is imported.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "1")

import hypothesis
import jax
import pytest
import refusals
from compilation import QUICK, compiled_once
from sampling import sample

# Its griffe comes with the extra `docs` alone.
collect_ignore = ["docs/docstrings.py"]
SECONDS = pathlib.Path(__file__).parent / "tests" / "seconds.json"
# A file that takes less is not worth a line of the table.
LEAST_SECONDS = 2.0
KIB_PER_GIB = 2**20
# A process of the tests drops its compiled programs when it holds more at the end of a file.
MOST_KEPT_GIB = 1.5

hypothesis.settings.register_profile("sample", max_examples=25, deadline=None, derandomize=True)
hypothesis.settings.register_profile("full", deadline=None)

# What the tests of this process, or of all workers, have taken and said.
_peaks: dict[str, float] = {}
_seconds: collections.Counter[str] = collections.Counter()
_collected: set[str] = set()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full", action="store_true", help="run every case of every matrix, not a sample of them"
    )
    parser.addoption(
        "--update-messages",
        action="store_true",
        help="run the tests of refusals alone, and rewrite tests/messages.json",
    )
    parser.addoption(
        "--update-seconds",
        action="store_true",
        help="rewrite tests/seconds.json, by which the slowest files are started first",
    )


def pytest_configure(config: pytest.Config) -> None:
    full = config.getoption("full")
    hypothesis.settings.load_profile("full" if full else "sample")
    refusals.updating = config.getoption("update_messages")
    if not full:
        # XLA reads it when it compiles for the first time.
        os.environ.setdefault("XLA_FLAGS", QUICK)


def pytest_collection_finish() -> None:
    # What is imported and traced stays; looking through it for garbage takes a tenth of the time.
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


# Which tests run, and in which order.


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Iterator[None]:
    names = tuple(argument for argument in config.args if "::" in argument)
    if not names:  # whole files, before any option leaves tests out
        _collected.update(item.nodeid for item in items)
    yield
    seconds = json.loads(SECONDS.read_text()) if SECONDS.exists() else {}
    # Sorting is stable: within a file, tests stay in their order.
    items.sort(key=lambda item: -seconds.get(_file(item.nodeid), 0.0))
    chosen = set(items) if config.getoption("full") else sample(items)
    # A test that is asked for by its name runs.
    chosen |= {item for item in items if names and item.nodeid.startswith(names)}
    if refusals.updating:
        chosen = {item for item in chosen if _is_about_refusals(item)}
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = [item for item in items if item in chosen]


def _file(name: str) -> str:
    return name.partition("::")[0]


def _is_about_refusals(item: pytest.Item) -> bool:
    used = {*vars(getattr(item, "module", None) or object), *getattr(item, "fixturenames", ())}
    return not used.isdisjoint({"refused", "require_complaint"})


# What tests share.


@pytest.fixture(scope="session", autouse=True)
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The temporary folder of the whole run, of which each worker has a part."""
    folder = tmp_path_factory.getbasetemp()
    shared = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    refusals.temporary.append(str(shared))
    return shared


@pytest.fixture(scope="session", autouse=True)
def one_cache(shared_folder: pathlib.Path) -> Iterator[None]:
    """Compile each program once for all files and workers, and once for all commands."""
    os.environ["TRANSFER_COMPILATION_CACHE"] = str(shared_folder / "compiled by commands")
    with compiled_once(str(shared_folder / "compiled")):
        yield


@pytest.fixture(scope="module", autouse=True)
def memory_is_returned() -> Iterator[None]:
    """Drop compiled programs at the end of a file, once they take much memory.

    Until then files share them: to trace a program again takes longer than most tests.
    """
    yield
    if _resident_gib() < MOST_KEPT_GIB:
        return
    jax.clear_caches()
    gc.collect()
    # Without this call, which glibc has, half of the memory of a process is what it has freed.
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def _resident_gib() -> float:
    """Return how much memory this process holds now; infinity where the system does not tell."""
    file = pathlib.Path("/proc/self/statm")
    if not file.exists():
        return math.inf
    pages = int(file.read_text().split()[1])
    return pages * resource.getpagesize() / 2**10 / KIB_PER_GIB


# What a run tells at its end.


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _seconds[_file(report.nodeid)] += report.duration


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    output = getattr(node, "workeroutput", {})
    if "peak" in output:
        _peaks[node.gateway.id] = output["peak"]
        _collected.update(output["collected"])
        refusals.heard.update(output["messages"])


def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_GIB
    if hasattr(config, "workeroutput"):  # a worker of several
        collected = sorted(_collected) if refusals.updating else []
        config.workeroutput |= {
            "peak": peak,
            "collected": collected,
            "messages": refusals.heard if refusals.updating else {},
        }
        return
    _peaks.setdefault("this process", peak)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    peaks = ", ".join(f"{name} {peak:.1f} GiB" for name, peak in sorted(_peaks.items()))
    terminalreporter.write_line(f"Peak memory: {peaks}.")
    if refusals.updating:
        refusals.write(_collected)
        terminalreporter.write_line(f"Wrote {refusals.FILE}.")
    if config.getoption("update_seconds"):
        slow = {name: round(s) for name, s in _seconds.most_common() if s >= LEAST_SECONDS}
        SECONDS.write_text(json.dumps(slow, indent=1) + "\n")
        terminalreporter.write_line(f"Wrote {SECONDS}.")
