"""How many steps to take before looking up again."""

# A machine that is taken away leaves 30 seconds, in which a checkpoint has to be written too.
SECONDS = 5.0


class StepBudget:
    """Starts with one step at a time, then takes as many as last `SECONDS`, up to `most`.

    Example:
      >>> budget = StepBudget(most=50)
      >>> budget.took(1, seconds=0.5)
      >>> budget.steps
      10
    """

    def __init__(self, most: int):
        self.steps = 1
        self._most = most

    def took(self, steps: int, seconds: float) -> None:
        """Learn how long steps took."""
        fitting = SECONDS * steps / max(seconds, 1e-9)
        self.steps = int(max(1, min(self._most, fitting)))
