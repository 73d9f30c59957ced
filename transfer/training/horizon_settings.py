"""Which horizons a run of constant rate may have, and what may be asked of them."""

from transfer.errors import TransferError


def require_horizons(
    horizons: tuple[int, ...],
    average_share: float,
    branch: int,
    *,
    steps: int,
    warmup: int,
    schedule: str,
    tokens_per_parameter: float,
) -> None:
    """Raise `TransferError` unless the horizons of `TrainingConfig` can be read off its runs.

    Arguments:
      horizons, average_share, branch: `training.horizons`, `average_share` and `branch_steps`.
      steps, warmup, schedule, tokens_per_parameter: of `training` too.
    """
    if branch < 0 or (branch and not horizons):
        raise TransferError(
            f"training.branch_steps is {branch} with training.horizons={horizons}; expected at "
            "least 0, and above 0 only with horizons at which branches end."
        )
    if not 0 < average_share <= 0.5:
        raise TransferError(
            f"training.average_share is {average_share}; expected a share above 0 and at "
            "most 0.5, at which all steps weigh the same."
        )
    if not horizons:
        return
    if horizons[0] < 1 or list(horizons) != sorted(set(horizons)):
        raise TransferError(
            f"training.horizons is {horizons}; expected whole numbers of steps of at least 1, each "
            "above the one before."
        )
    if tokens_per_parameter:
        raise TransferError(
            f"training.horizons is {horizons} while training.tokens_per_parameter="
            f"{tokens_per_parameter} gives every width its own length; expected "
            "tokens_per_parameter=0 and a length in training.steps."
        )
    if horizons[-1] > steps:
        raise TransferError(
            f"training.horizons ends at {horizons[-1]}, beyond training.steps={steps}; "
            "expected horizons of at most the trunk's length."
        )
    if schedule != "constant":
        raise TransferError(
            f'training.schedule is "{schedule}" with training.horizons={horizons}; '
            "expected constant, since what has begun to decay is no trunk of longer runs."
        )
    if horizons[0] <= warmup + branch:
        raise TransferError(
            f"The first of training.horizons is {horizons[0]}, within training.warmup={warmup} and "
            f"training.branch_steps={branch}; expected more steps than in both together."
        )


def require_horizons_of_sweep(
    horizons: tuple[int, ...], objective: str, base_tokens: int, search: str, survivors: float
) -> None:
    """Raise `TransferError` unless a sweep can compare its trials at the horizons they have.

    Arguments:
      horizons: of every trial.
      objective, search, survivors: `sweep.objective` and so on.
      base_tokens: of the base run, 0 for the run's own.
    """
    if not 0 < survivors <= 1:
        raise TransferError(
            f"sweep.survivors is {survivors}; expected the share of points above 0 that go on at "
            "every horizon, such as 0.5, or 1, which stops none."
        )
    if survivors < 1 and (search != "adaptive" or len(horizons) < 2):
        raise TransferError(
            f'sweep.survivors is {survivors} with sweep.search="{search}" and training.horizons='
            f"{horizons}; expected an adaptive search and at least two horizons, since trials stop "
            "at all but the last."
        )
    if horizons and objective != "eval_loss":
        raise TransferError(
            f'sweep.objective is "{objective}" with training.horizons={horizons}; expected '
            "eval_loss, since the average of weights has no training loss."
        )
    if horizons and base_tokens:
        raise TransferError(
            f"base_tokens is {base_tokens} with training.horizons={horizons}; expected "
            "base_tokens=0, since a trunk has one learning rate for all of its horizons."
        )
