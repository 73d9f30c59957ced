"""Verbs that several processes do together: one of them speaks and writes for all."""

import contextlib
from collections.abc import Callable, Iterator

from transfer.distributed import cluster
from transfer.termination import listening


@contextlib.contextmanager
def together() -> Iterator[Callable[[], bool]]:
    """Inside, this process is one with the others of its job, and SIGTERM asks it to stop.

    Yields what says whether it was asked. A process that is alone stays as it is.
    """
    with contextlib.ExitStack() as listens, contextlib.ExitStack() as joins:
        if cluster.described():
            joins.enter_context(cluster.join())
            from transfer.cli.console import console
            from transfer.distributed.exchange import is_first

            console.quiet = not is_first()
        # While it waits for the others to come there is nothing to save, and SIGTERM ends it; while
        # it waits for them to leave, all is saved, and SIGTERM changes nothing.
        yield listens.enter_context(listening())
