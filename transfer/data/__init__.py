"""Text as batches of token windows: sources, tokenizers, and a pipeline that resumes exactly.

    config -> source (documents by split) -> tokenizer -> flat token file -> windows -> batches

Every split is read through TFDS and batched through grain, without TensorFlow. The same seed gives
the same batches on any number of processes.

Example:
  >>> dataset = load_dataset(DataConfig(name="synthetic"))
  >>> next(dataset.batches(seed=0)).shape
  (16, 65)
"""

from transfer.data.config import DataConfig
from transfer.data.dataset import Dataset, load_dataset
from transfer.data.fingerprint import check_fingerprint
from transfer.data.pipeline import BatchIterator
from transfer.data.population import PopulationBatches
from transfer.data.tokenizer_training import train_tokenizer
from transfer.data.tokenizers import Tokenizer, load_tokenizer

__all__ = [
    "BatchIterator",
    "DataConfig",
    "Dataset",
    "PopulationBatches",
    "Tokenizer",
    "check_fingerprint",
    "load_dataset",
    "load_tokenizer",
    "train_tokenizer",
]
