import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from refusals import refused

from transfer.data.image_augmentation import center_box, flip, pad_and_crop, random_box
from transfer.data.image_dataset import Normalization

BELOW_ONE = float(np.nextafter(1, 0))
IMAGES = hnp.arrays(
    np.uint8, st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6), st.integers(1, 3))
)
UNIFORM = st.floats(0, BELOW_ONE)


@given(images=IMAGES, padding=st.integers(0, 3), data=st.data())
def test_a_crop_is_the_sub_window_of_the_padded_image_that_its_numbers_name(images, padding, data):
    uniforms = data.draw(hnp.arrays(float, (len(images), 2), elements=UNIFORM))
    cropped = pad_and_crop(images, padding, uniforms)
    assert cropped.shape == images.shape
    assert cropped.dtype == np.uint8
    _, height, width, _ = images.shape
    for before, after, (top, left) in zip(images, cropped, uniforms, strict=True):
        padded = np.zeros((height + 2 * padding, width + 2 * padding, before.shape[-1]), np.uint8)
        padded[padding : padding + height, padding : padding + width] = before
        row, column = int(top * (2 * padding + 1)), int(left * (2 * padding + 1))
        window = padded[row : row + height, column : column + width]
        np.testing.assert_array_equal(after, window)


def test_every_place_of_a_crop_is_equally_likely_and_the_middle_one_changes_nothing():
    image = np.arange(1, 13, dtype=np.uint8).reshape(1, 3, 4, 1)
    steps = (np.arange(10) + 0.5) / 10  # two of ten to each of five places
    uniforms = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    crops = pad_and_crop(image.repeat(100, axis=0), 2, uniforms)
    places, counts = np.unique(crops.reshape(100, -1), axis=0, return_counts=True)
    assert places.shape == (25, 12)
    assert set(counts) == {4}
    middle = pad_and_crop(image, 2, np.array([[0.5, 0.5]]))
    np.testing.assert_array_equal(middle, image)


@given(images=IMAGES, data=st.data())
def test_a_flip_mirrors_columns_and_is_its_own_inverse(images, data):
    uniforms = data.draw(hnp.arrays(float, len(images), elements=UNIFORM))
    flipped = flip(images, uniforms)
    np.testing.assert_array_equal(flip(flipped, uniforms), images)
    for before, after, u in zip(images, flipped, uniforms, strict=True):
        np.testing.assert_array_equal(after, before[:, ::-1] if u < 0.5 else before)


@given(
    height=st.integers(1, 500),
    width=st.integers(1, 500),
    least=st.floats(0.01, 1),
    uniforms=hnp.arrays(float, 4, elements=UNIFORM),
)
def test_a_random_crop_lies_in_the_photograph_and_has_its_area_and_aspect(
    height, width, least, uniforms
):
    left, top, right, bottom = random_box(height, width, least, uniforms)
    slack = 1e-9 * max(height, width)  # of rounding in float64
    assert -slack <= left < right <= width + slack
    assert -slack <= top < bottom <= height + slack
    crop_width, crop_height = right - left, bottom - top
    area = height * width * (least + (1 - least) * uniforms[0])
    assert crop_width * crop_height <= area * (1 + 1e-9)
    if crop_width < width and crop_height < height:  # no side was cut
        assert crop_width * crop_height == pytest.approx(area)
        assert 3 / 4 - 1e-9 <= crop_width / crop_height <= 4 / 3 + 1e-9


def test_the_ends_of_the_numbers_are_the_ends_of_the_crops():
    least, most = np.zeros(4), np.full(4, BELOW_ONE)
    left, top, right, bottom = random_box(100, 100, 0.08, least)
    assert (left, top) == (0, 0)
    assert (right * bottom, right / bottom) == pytest.approx((800, 3 / 4))
    assert random_box(100, 100, 0.08, most) == pytest.approx((0, 13.4, 100, 100), abs=0.01)


@given(height=st.integers(1, 500), width=st.integers(1, 500))
def test_the_center_crop_is_a_square_in_the_middle(height, width):
    left, top, right, bottom = center_box(height, width)
    assert right - left == bottom - top == pytest.approx(min(height, width) * 224 / 256)
    assert left + right == pytest.approx(width)
    assert top + bottom == pytest.approx(height)


@settings(max_examples=50)
@given(hnp.arrays(np.uint8, st.tuples(st.integers(2, 5), st.just(4), st.just(3), st.just(2))))
def test_normalized_pixels_have_mean_zero_and_variance_one(images):
    if (images == images[:1, :1, :1]).all(axis=(0, 1, 2)).any():
        with refused(recorded=False):
            Normalization.of(images)
        return
    normalized = Normalization.of(images)(images)
    assert normalized.dtype == np.float32
    # Means of up to 60 numbers of size up to 8 in float32: a few units of 1e-6. Before that the
    # mean is subtracted, rounded to 2^-24 of itself, and what is left divided by the deviation.
    pixels = images.astype(np.float64)
    cancelled = np.max(pixels.mean(axis=(0, 1, 2)) / pixels.std(axis=(0, 1, 2)))
    close = 1e-5 + 2.0**-23 * cancelled
    np.testing.assert_allclose(normalized.mean(axis=(0, 1, 2)), 0, atol=close)
    np.testing.assert_allclose(normalized.std(axis=(0, 1, 2)), 1, atol=close)
