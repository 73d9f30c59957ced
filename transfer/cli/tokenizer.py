"""Trains a subword tokenizer on the data set of --config and writes it to --output.

An --output ending in .model is a SentencePiece model, one in .json a Hugging Face tokenizers file;
--config.data.tokenizer=FILE then uses it.
"""

from collections.abc import Sequence

from absl import flags as absl_flags

from transfer.cli import flags, platform
from transfer.cli.config_flag import define_config


def define(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Define the verb's flags."""
    define_config(values, argv)
    absl_flags.DEFINE_integer(
        "vocabulary_size", 4096, "how many tokens (default: 4096)", flag_values=values
    )
    absl_flags.DEFINE_string("output", None, "FILE.model or FILE.json", flag_values=values)


def run(values: absl_flags.FlagValues) -> int:
    """Train and write."""
    platform.prepare()
    from transfer.data import Dataset, load_dataset, train_tokenizer
    from transfer.errors import TransferError

    output, size = values["output"].value, int(values.vocabulary_size)
    if not output:
        raise TransferError("No file was given; expected --output=FILE.model or FILE.json.")
    dataset = load_dataset(flags.experiment(values).data)
    if not isinstance(dataset, Dataset):
        raise TransferError(
            f"The data set {dataset.config.name} holds images; expected text to train a tokenizer "
            "on."
        )
    train_tokenizer(dataset.documents(), size, output)
    print(
        f"Written to {output}. Next: transfer train {flags.shown('config.data.tokenizer', output)} "
        f"--config.model.vocabulary={size}."
    )
    return 0
