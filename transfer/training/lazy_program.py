"""A program that is traced and compiled ahead of its first call, or by it."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import jax


class LazyProgram:
    """Traces a function when told to, and compiles it in another thread.

    Tracing holds Python's lock, so it is done where it is asked for. Compiling takes most of the
    time and does not hold the lock.

    Arguments:
      lower: traces the function.
      pool: compiles it.

    Example:
      >>> from concurrent.futures import ThreadPoolExecutor
      >>> double = LazyProgram(lambda: jax.jit(lambda x: 2 * x).lower(1.0), ThreadPoolExecutor())
      >>> double.begin()
      >>> print(double(3.0))
      6.0
    """

    def __init__(self, lower: Callable[[], jax.stages.Lowered], pool: Executor):
        self._lower = lower
        self._pool = pool
        self._results: Any = None
        self._compiled: Future[jax.stages.Compiled] | None = None

    def begin(self) -> None:
        """Trace, unless that is done, and let it be compiled."""
        if self._compiled is None:
            lowered = self._lower()
            self._results = lowered.out_info
            self._compiled = self._pool.submit(lowered.compile)

    @property
    def results(self) -> Any:
        """Shapes and dtypes of what it returns."""
        self.begin()
        return self._results

    def wait(self) -> jax.stages.Compiled:
        """Return the program once it is compiled."""
        self.begin()
        assert self._compiled is not None
        return self._compiled.result()

    def __call__(self, *arguments: Any) -> Any:
        """Run it, once it is compiled."""
        return self.wait()(*arguments)
