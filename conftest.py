"""How every test runs: on one CPU device, a sample of each matrix, the slowest files first.

`CONTRIBUTING.md` says what the options and the marks are for.
"""

import collections
import gc
import json
import os
import pathlib
import resource
from collections.abc import Iterable, Iterator

# JAX reads these when it is imported.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "1")

import hypothesis
import jax
import pytest
from compilation import QUICK, compiled_once

SECONDS = pathlib.Path(__file__).parent / "tests" / "seconds.json"
# A file that takes less is not worth a line of the table.
LEAST_SECONDS = 2.0

hypothesis.settings.register_profile("sample", max_examples=25, deadline=None, derandomize=True)
hypothesis.settings.register_profile("full", deadline=None)

_PEAKS: dict[str, float] = {}
_SECONDS_BY_FILE: collections.Counter[str] = collections.Counter()
KIB_PER_GIB = 2**20


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full", action="store_true", help="run every case of every matrix, not a sample of them"
    )
    parser.addoption(
        "--update-seconds",
        action="store_true",
        help="rewrite tests/seconds.json, by which the slowest files are started first",
    )


def pytest_configure(config: pytest.Config) -> None:
    full = config.getoption("full")
    hypothesis.settings.load_profile("full" if full else "sample")
    if not full:
        # XLA reads it when it compiles for the first time.
        os.environ.setdefault("XLA_FLAGS", QUICK)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    seconds = json.loads(SECONDS.read_text()) if SECONDS.exists() else {}
    # Sorting is stable: within a file, tests stay in their order.
    items.sort(key=lambda item: -seconds.get(_file(item.nodeid), 0.0))
    if config.getoption("full"):
        return
    # A test that is asked for by its name runs.
    asked = tuple(argument for argument in config.args if "::" in argument)
    sample = _sample(items)
    kept = [item for item in items if item in sample or (asked and item.nodeid.startswith(asked))]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = kept


def _file(name: str) -> str:
    return name.partition("::")[0]


def _sample(items: Iterable[pytest.Item]) -> set[pytest.Item]:
    """All but what is marked `full`, and of each matrix marked `sampled` a cover.

    A cover has each value of each parameter in at least one case; it is chosen greedily, the same
    in every process.
    """
    matrices = collections.defaultdict(list)
    sample = set()
    for item in items:
        if item.get_closest_marker("full"):
            continue
        if item.get_closest_marker("sampled"):
            matrices[item.nodeid.partition("[")[0]].append(item)
        else:
            sample.add(item)
    for cases in matrices.values():
        left = {case: set(case.callspec.indices.items()) for case in cases}
        while any(left.values()):
            chosen = max(cases, key=lambda case: len(left[case]))
            sample.add(chosen)
            covered = set(left[chosen])
            for case in cases:
                left[case] -= covered
    return sample


@pytest.fixture(scope="session", autouse=True)
def one_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Share compiled programs among files and among workers, for as long as the tests run."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with compiled_once(str(folder / "compiled")):
        yield


@pytest.fixture(scope="module", autouse=True)
def memory_is_returned() -> Iterator[None]:
    """Drop at the end of a file the programs that it has compiled."""
    yield
    jax.clear_caches()
    gc.collect()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _SECONDS_BY_FILE[_file(report.nodeid)] += report.duration


def pytest_sessionfinish(session: pytest.Session) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_GIB
    if hasattr(session.config, "workeroutput"):  # a worker of several
        session.config.workeroutput["peak"] = peak
        return
    _PEAKS.setdefault("this process", peak)
    if session.config.getoption("update_seconds"):
        kept = {name: s for name, s in _SECONDS_BY_FILE.items() if s >= LEAST_SECONDS}
        rounded = {name: round(s) for name, s in sorted(kept.items(), key=lambda each: -each[1])}
        SECONDS.write_text(json.dumps(rounded, indent=1) + "\n")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    if "peak" in getattr(node, "workeroutput", {}):
        _PEAKS[node.gateway.id] = node.workeroutput["peak"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    peaks = ", ".join(f"{name} {peak:.1f} GiB" for name, peak in sorted(_PEAKS.items()))
    terminalreporter.write_line(f"peak memory: {peaks}")
