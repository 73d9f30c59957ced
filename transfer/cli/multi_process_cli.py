"""Verbs that several processes run together: one of them prints and writes for all."""

import contextlib
from collections.abc import Callable, Iterator

from transfer.distributed import job
from transfer.termination import listening


@contextlib.contextmanager
def multi_process() -> Iterator[Callable[[], bool]]:
    """Join this process to the others of its job for the block, in which SIGTERM asks it to stop.

    Yields a function that returns whether it was asked. A process without a job stays alone.
    """
    with contextlib.ExitStack() as listens, contextlib.ExitStack() as joins:
        if job.described():
            joins.enter_context(job.join())
            from transfer.cli.console import console
            from transfer.distributed.exchange import is_first

            console.quiet = not is_first()
        # While the process waits for the others to start, SIGTERM ends it, because there is nothing
        # to save; while it waits for them to leave, SIGTERM changes nothing, because all is saved.
        yield listens.enter_context(listening())
