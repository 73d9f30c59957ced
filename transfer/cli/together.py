"""Verbs that several processes do together: one of them speaks and writes for all."""

import contextlib
from collections.abc import Callable, Iterator

from transfer.processes import cluster
from transfer.termination import listening


@contextlib.contextmanager
def together() -> Iterator[Callable[[], bool]]:
    """Inside, this process is one with the others of its job, and SIGTERM asks it to stop.

    Yields what says whether it was asked. A process that is alone stays as it is.
    """
    with contextlib.ExitStack() as stack:
        if cluster.described():
            stack.enter_context(cluster.join())
            from transfer.cli.console import console
            from transfer.processes.exchange import is_first

            console.quiet = not is_first()
        yield stack.enter_context(listening())
