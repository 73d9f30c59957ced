"""What a data set gives a model to read, as plain facts: models never import the data."""

import dataclasses

from transfer.errors import TransferError


@dataclasses.dataclass(frozen=True)
class TextInputs:
    """Sequences of tokens.

    Fields:
      tokenizer: its name in the configuration.
      vocabulary: token ids are in [0, vocabulary).
    """

    tokenizer: str
    vocabulary: int

    def require_vocabulary(self, rows: int) -> None:
        """Raise `TransferError` unless every token has one of `rows` rows in an embedding table.

        A larger table is fine, because padding it to a round number is common.
        """
        if rows < self.vocabulary:
            raise TransferError(
                f"model.vocabulary is {rows} but the tokenizer {self.tokenizer} has "
                f"{self.vocabulary} tokens; expected at least as many: set "
                f"--config.model.vocabulary={self.vocabulary}."
            )


@dataclasses.dataclass(frozen=True)
class ImageInputs:
    """Labeled images.

    Fields:
      name: of the data set.
      channels: of every image.
      classes: labels are in [0, classes).
    """

    name: str
    channels: int
    classes: int

    def require_channels_and_classes(self, channels: int, classes: int) -> None:
        """Raise `TransferError` unless a model has the images' channels and enough classes."""
        if channels != self.channels:
            raise TransferError(
                f"model.image_channels is {channels} but the images of {self.name} have "
                f"{self.channels}; set --config.model.image_channels={self.channels}."
            )
        if classes < self.classes:
            raise TransferError(
                f"model.classes is {classes} but {self.name} has {self.classes}; expected at least "
                f"as many: set --config.model.classes={self.classes}."
            )


InputSpec = TextInputs | ImageInputs
