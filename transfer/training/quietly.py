"""Reading a damaged checkpoint without a page of tracebacks beside the one error that tells."""

import asyncio
import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import Any
from unittest import mock

# Orbax tells every save at warning level and above what the progress line tells better. Asyncio
# tells of each array of a damaged checkpoint what the first one's error says, and what of them was
# never read.
logging.getLogger("absl").setLevel(logging.ERROR)
logging.getLogger("asyncio").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", r"coroutine 'Store\.", RuntimeWarning)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Inside, orbax reads in event loops that do not mind being closed early.

    It reads all arrays at once and gives up on the first error; the others then find their event
    loop closed, each of which would be a traceback on the terminal.
    """
    with mock.patch.object(asyncio, "new_event_loop", _ClosedEarly):
        yield


class _ClosedEarly(asyncio.SelectorEventLoop):
    def call_soon_threadsafe(self, *arguments: Any, **keywords: Any) -> Any:  # type: ignore[override]
        with contextlib.suppress(RuntimeError):
            return super().call_soon_threadsafe(*arguments, **keywords)
        return None
