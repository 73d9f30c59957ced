"""Augmentation of training images: functions of an image and of numbers in [0, 1).

The numbers are arguments, so that the pipeline alone decides where randomness comes from. Shapes
are written after a name: B batch, H height, W width, C channels.
"""

import math

import numpy as np

Box = tuple[float, float, float, float]

_ASPECT = 4 / 3  # the greatest ratio of a crop's sides, as in Inception and all since
_CENTER = 0.875  # the side of the center crop over the shorter side: 224 of 256


def pad_and_crop(images_BxHxWxC: np.ndarray, padding: int, uniforms_Bx2: np.ndarray) -> np.ndarray:
    """Pad each image with zeros on all sides, and cut one of its own size out of that.

        top, left = floor(u * (2 * padding + 1)), so every place is equally likely

    Source: He et al., "Deep Residual Learning", 2015, section 4.2, with padding 4 for 32 x 32.

    Example:
      >>> image = np.arange(1, 5).reshape(1, 2, 2, 1)
      >>> pad_and_crop(image, 1, np.array([[0.0, 0.5]]))[0, :, :, 0]
      array([[0, 0],
             [1, 2]])
    """
    _, H, W, _ = images_BxHxWxC.shape
    around = (padding, padding)
    padded = np.pad(images_BxHxWxC, [(0, 0), around, around, (0, 0)])
    corners = (uniforms_Bx2 * (2 * padding + 1)).astype(np.int64).tolist()
    crops = [image[i : i + H, j : j + W] for image, (i, j) in zip(padded, corners, strict=True)]
    return np.stack(crops)


def flip(images_BxHxWxC: np.ndarray, uniforms_B: np.ndarray) -> np.ndarray:
    """Mirror the images whose number is below 1/2 left to right.

    Example:
      >>> flip(np.arange(4).reshape(2, 1, 2, 1), np.array([0.0, 0.5])).ravel()
      array([1, 0, 2, 3])
    """
    chosen = uniforms_B < 0.5
    flipped = images_BxHxWxC.copy()
    flipped[chosen] = images_BxHxWxC[chosen, :, ::-1]
    return flipped


def random_box(height: int, width: int, least_area: float, uniforms: np.ndarray) -> Box:
    """Return a random crop (left, top, right, bottom) of a photograph, in pixels and parts of them.

        area = height * width * (a + (1 - a) * u0),  log(aspect) uniform in +-log(4/3) by u1

    with a = `least_area`. A side longer than the photograph's is cut to it, and the place is
    uniform by u2 and u3. Source: Szegedy et al., "Going Deeper with Convolutions", 2014, section 6;
    other code draws again where a side is cut.

    Example:
      >>> random_box(30, 40, 1.0, np.array([0.0, 1.0, 0.0, 0.0]))
      (0.0, 0.0, 40.0, 30.0)
    """
    of_area, of_aspect, of_top, of_left = uniforms.tolist()
    area = height * width * (least_area + (1 - least_area) * of_area)
    aspect = math.exp(math.log(_ASPECT) * (2 * of_aspect - 1))
    box_width = min(math.sqrt(area * aspect), width)
    box_height = min(math.sqrt(area / aspect), height)
    top, left = of_top * (height - box_height), of_left * (width - box_width)
    return left, top, left + box_width, top + box_height


def center_box(height: int, width: int) -> Box:
    """Return the square in the center whose side is 7/8 of the shorter side, as `random_box` does.

    Resizing it to 224 x 224 is resizing the shorter side to 256 and cropping the center.

    Example:
      >>> center_box(80, 160)
      (45.0, 5.0, 115.0, 75.0)
    """
    side = _CENTER * min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side
