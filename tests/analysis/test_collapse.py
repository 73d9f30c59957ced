import numpy as np
import pytest

from transfer.analysis.collapse import collapse_of

TIME = np.linspace(0.15, 0.85, 29)


def curves(floors, heights, shapes):
    """Losses floor + height * shape, [width, seed, time], and their ends, where shapes are 1."""
    heights = np.asarray(heights)
    return (
        floors + heights[..., None] * shapes,
        floors + heights,
    )


def test_one_shape_collapses_whatever_its_height():
    losses, ends = curves(1.5, [[0.5, 0.6], [0.3, 0.2], [0.1, 0.15]], 1 + (1 - TIME))
    over_widths, over_seeds = collapse_of(losses, ends, floor=1.5)

    assert over_widths == pytest.approx(0, abs=1e-12)
    assert over_seeds == pytest.approx(0, abs=1e-12)


def test_a_wrong_floor_undoes_the_collapse():
    losses, ends = curves(1.5, [[0.5], [0.3], [0.1]], 1 + (1 - TIME))
    assert collapse_of(losses, ends, floor=1.2)[0] > 0.05


def test_shapes_that_differ_by_width_spread_more_than_seeds():
    generator = np.random.default_rng(0)
    noise = generator.normal(0, 0.01, (3, 4, len(TIME)))
    drifting = 1 + (1 - TIME) * np.array([1.0, 1.3, 1.6])[:, None, None]
    ones = np.full((3, 4), 0.5)
    for shapes, collapses in ((1 + (1 - TIME) + noise, True), (drifting + noise, False)):
        over_widths, over_seeds = collapse_of(*curves(1.5, ones, shapes), floor=1.5)
        assert (over_widths < 1.5 * over_seeds) == collapses


def test_the_spread_is_the_relative_standard_deviation():
    shapes = np.array([1.0, 1.1])[:, None, None] * np.ones(len(TIME))
    over_widths, over_seeds = collapse_of(*curves(0.0, np.ones((2, 1)), shapes), floor=0.0)

    # Of 1 and 1.1 with one degree of freedom, relative to 1.05.
    assert over_widths == pytest.approx(0.1 / np.sqrt(2) / 1.05)
    assert over_seeds is None
