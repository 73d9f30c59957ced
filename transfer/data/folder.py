"""Where prepared data is kept."""

import os

from etils import epath


def data_folder(data_dir: str) -> epath.Path:
    """Return the folder that `data_dir` names; empty means the default.

    The default is $TRANSFER_DATA_DIR, and where that is unset ~/.cache/transfer/data.

    Example:
      >>> data_folder("gs://bucket/data")
      PosixGPath('gs://bucket/data')
    """
    folder = data_dir or os.environ.get("TRANSFER_DATA_DIR") or "~/.cache/transfer/data"
    return epath.Path(folder).expanduser()
