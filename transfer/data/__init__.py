"""Text and images as batches: sources, tokenizers, and a pipeline that resumes exactly.

    text    config -> source (documents) -> tokenizer -> flat token file -> windows -> batches
    images  config -> source (encoded images) -> crop and flip -> normalization -> batches

Every split is read through TFDS, without TensorFlow, or from files of one's own, and batched
through grain. Held-out images are not augmented. The same seed gives the same batches on any number
of processes.

Example:
  >>> dataset = load_dataset(DataConfig(name="synthetic"))
  >>> next(dataset.batches(seed=0)).shape
  (16, 65)
"""

from transfer.data.config import OWN_FILES, DataConfig, ImageConfig, is_same_data_name
from transfer.data.fingerprint import check_fingerprint
from transfer.data.image_dataset import ImageDataset
from transfer.data.load import image_shape, load_dataset
from transfer.data.pipeline import BatchIterator, PopulationBatches
from transfer.data.text_dataset import Dataset
from transfer.data.tokenizer_training import train_tokenizer
from transfer.data.tokenizers import Tokenizer, load_tokenizer

__all__ = [
    "OWN_FILES",
    "BatchIterator",
    "DataConfig",
    "Dataset",
    "ImageConfig",
    "ImageDataset",
    "PopulationBatches",
    "Tokenizer",
    "check_fingerprint",
    "image_shape",
    "is_same_data_name",
    "load_dataset",
    "load_tokenizer",
    "train_tokenizer",
]
