"""Orbax says what a user has to know, and nothing beside it.

It logs every save as a warning, which the progress line says better. It reads all arrays of a
checkpoint at once and gives up on the first that is damaged; each of the others would then print a
traceback about its closed event loop beside the one error that says what is wrong.
"""

import asyncio
import contextlib
import gc
import logging
import warnings
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def quiet_saves() -> Iterator[None]:
    """Inside, orbax logs errors alone, also from the threads that write."""
    logger = logging.getLogger("absl")
    logger.addFilter(_is_worth_saying)
    try:
        yield
    finally:
        logger.removeFilter(_is_worth_saying)


@contextlib.contextmanager
def quiet_reads() -> Iterator[None]:
    """Inside, what orbax leaves unread of a damaged checkpoint goes without a word.

    The block has to catch the error itself, because a traceback keeps alive what was left unread.
    """
    policy = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(_ReadingPolicy())
    try:
        with quiet_saves(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"coroutine 'Store\.", RuntimeWarning)
            yield
            gc.collect()  # which is when coroutines that were never awaited are warned of
    finally:
        asyncio.set_event_loop_policy(policy)


def _is_worth_saying(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR or "orbax" not in record.pathname


class _ReadingPolicy(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return _ReadingLoop()


class _ReadingLoop(asyncio.SelectorEventLoop):
    """An event loop that may be closed while reads are going on."""

    def call_soon_threadsafe(self, *arguments: Any, **keywords: Any) -> Any:  # type: ignore[override]
        with contextlib.suppress(RuntimeError):
            return super().call_soon_threadsafe(*arguments, **keywords)
        return None

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Say nothing: it is called for tasks that nobody waits for any more."""
