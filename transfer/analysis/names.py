"""What a reader calls the parameters of a model."""

from collections.abc import Sequence


def short_names(names: Sequence[str]) -> list[str]:
    """Drop the leading and trailing path segments that all names share.

    A place in a list keeps the list's name before it.

    Example:
      >>> short_names(["layers.attention.query.kernel", "layers.mlp.up.kernel"])
      ['attention.query', 'mlp.up']
      >>> short_names(["stages.0.1.up.kernel", "stages.1.0.up.kernel"])
      ['stages.0.1', 'stages.1.0']
    """
    paths = [name.split(".") for name in names]
    shortest = min(map(len, paths), default=1)
    leading = _shared(paths, shortest - 1)
    while leading and any(path[leading].isdigit() for path in paths):
        leading -= 1
    backwards = [path[::-1] for path in paths]
    trailing = _shared(backwards, shortest - leading - 1)
    return [".".join(path[leading : len(path) - trailing]) for path in paths]


def _shared(paths: Sequence[Sequence[str]], most: int) -> int:
    """Number of first segments, at most so many, that all paths share."""
    count = 0
    while count < most and len({path[count] for path in paths}) == 1:
        count += 1
    return count
