"""What to read, how to cut it into windows, and where the prepared files live."""

import dataclasses

from etils import epath

from transfer.data.folder import data_folder
from transfer.errors import TransferError


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """One data set and the shape of its batches, as plain scalars.

    kind            "text", which tells this section from one of images
    name            "stdlib_text" (embedded, no download), "synthetic", or any TFDS text data set
    train_split     TFDS split syntax, for instance "train" or "train[:1%]"
    eval_split      held-out split, same syntax
    text_feature    the feature that holds the text
    tokenizer       "bytes", or the path of a SentencePiece `.model` or Hugging Face `.json`
    data_dir        prepared data and token files; empty means $TRANSFER_DATA_DIR, and where that
                    is unset ~/.cache/transfer/data
    sequence_length tokens predicted per window; a window holds one more
    batch_size      windows per training step, over all processes
    eval_sequences  held-out windows per evaluation, rounded down to whole batches

    Raises `TransferError` when a length or count is below one.

    Example:
      >>> DataConfig(sequence_length=128).batch_size
      16
    """

    kind: str = dataclasses.field(default="text", init=False)
    name: str = "stdlib_text"
    train_split: str = "train"
    eval_split: str = "test"
    text_feature: str = "text"
    tokenizer: str = "bytes"
    data_dir: str = ""
    sequence_length: int = 64
    batch_size: int = 16
    eval_sequences: int = 256

    def __post_init__(self) -> None:
        for field in ("sequence_length", "batch_size", "eval_sequences"):
            value = getattr(self, field)
            if value < 1:
                raise TransferError(
                    f"data.{field} is {value}; expected a whole number of at least 1."
                )

    @property
    def tokens_per_step(self) -> int:
        """Tokens that a training step predicts."""
        return self.batch_size * self.sequence_length

    @property
    def description(self) -> str:
        """The data in words."""
        return (
            f"{self.name} ({self.tokenizer}), sequences of {self.sequence_length} in batches of "
            f"{self.batch_size}"
        )

    @property
    def folder(self) -> epath.Path:
        """Where prepared data is looked for."""
        return data_folder(self.data_dir)

    @property
    def token_folder(self) -> epath.Path:
        """Where token files go: beside the data, or in the default folder for data in a bucket.

        A memory map needs a local file, so each host keeps its own copy of a bucket's tokens.
        """
        is_bucket = "://" in self.data_dir
        return (data_folder("") if is_bucket else self.folder) / "tokens"
