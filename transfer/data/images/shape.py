"""The shape of a batch's images, without the images."""

from transfer.data.images.config import ImageConfig
from transfer.data.images.digits import SklearnDigits
from transfer.data.images.source import ImageSource
from transfer.data.prepared import find_builder


def image_shape(config: ImageConfig) -> tuple[int, int, int]:
    """Return (height, width, channels) of an image in a batch; nothing is prepared or downloaded.

    Raises `TransferError` when the data set is unknown, or its images vary in size and the
    configuration names none.

    Example:
      >>> image_shape(ImageConfig(name="digits")), image_shape(ImageConfig(name="cifar10"))
      ((8, 8, 1), (32, 32, 3))
    """
    if config.name == "digits":
        builder = SklearnDigits(data_dir=config.folder, file_format="array_record")
    else:
        builder = find_builder(config.name, config.folder, "labelled-image", ("digits",))
    source = ImageSource(builder)
    if config.image_size:
        return config.image_size, config.image_size, source.shape[-1]
    return source.size()
