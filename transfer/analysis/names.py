"""What a reader calls the parameters of a model."""

from collections.abc import Sequence


def short_names(names: Sequence[str]) -> list[str]:
    """Drop the leading and trailing path segments that all names share.

    Example:
      >>> short_names(["layers.attention.query.kernel", "layers.mlp.up.kernel"])
      ['attention.query', 'mlp.up']
    """
    paths = [name.split(".") for name in names]
    while min(map(len, paths), default=0) > 1 and len({path[0] for path in paths}) == 1:
        paths = [path[1:] for path in paths]
    while min(map(len, paths), default=0) > 1 and len({path[-1] for path in paths}) == 1:
        paths = [path[:-1] for path in paths]
    return [".".join(path) for path in paths]
