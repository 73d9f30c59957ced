"""Trains a subword tokenizer on the data set of --config and writes it to --output.

An --output ending in .model is a SentencePiece model, one in .json a Hugging Face tokenizers file;
--config.data.tokenizer=FILE then uses it.
"""

from absl import flags as absl_flags

from transfer.cli import flags, platform


def define(values: absl_flags.FlagValues) -> None:
    """Define the verb's flags."""
    flags.define_config(values)
    absl_flags.DEFINE_integer("vocabulary_size", 4096, "how many tokens", flag_values=values)
    absl_flags.DEFINE_string("output", None, "FILE.model or FILE.json", flag_values=values)


def run(values: absl_flags.FlagValues) -> int:
    """Train and write."""
    platform.prepare()
    from transfer.data import load_dataset, train_tokenizer
    from transfer.errors import TransferError

    output, size = values["output"].value, int(values.vocabulary_size)
    if not output:
        raise TransferError("No file was given; expected --output=FILE.model or FILE.json.")
    documents = load_dataset(flags.experiment(values).data).documents()
    train_tokenizer(documents, size, output)
    print(
        f"Written to {output}. Next: transfer train --config.data.tokenizer={output} "
        f"--config.model.vocabulary={size}."
    )
    return 0
