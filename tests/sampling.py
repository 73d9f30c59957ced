"""Which cases `make test` runs; `make test-all` runs all."""

import collections
from collections.abc import Iterable

import pytest


def sample(items: Iterable[pytest.Item]) -> set[pytest.Item]:
    """Return all but what is marked `full`, and a cover of each matrix marked `sampled`.

    A cover has each value of each parameter in at least one case. It is chosen greedily, and thus
    is the same in every process.
    """
    matrices = collections.defaultdict(list)
    chosen = set()
    for item in items:
        if item.get_closest_marker("full"):
            continue
        if item.get_closest_marker("sampled") and hasattr(item, "callspec"):
            matrices[item.nodeid.partition("[")[0]].append(item)
        else:
            chosen.add(item)
    for cases in matrices.values():
        missing = {
            case: {(name, repr(value)) for name, value in case.callspec.params.items()}
            for case in cases
        }
        while any(missing.values()):
            best = max(cases, key=lambda case: len(missing[case]))
            chosen.add(best)
            covered = set(missing[best])
            for case in cases:
                missing[case] -= covered
    return chosen
