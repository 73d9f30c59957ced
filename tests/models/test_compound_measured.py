"""What networks cost as they grow, by the code of `experiments/compound_scaling`."""

import functools
import json

import pyarrow.parquet as pq
import pytest

from experiments.compound_scaling.figure import growth_figure
from experiments.compound_scaling.judge import KINDS, TOLERANCE, exponent, judge
from experiments.compound_scaling.run import GROWTHS, HERE, NETWORKS, TABLE, asked, counted
from experiments.compound_scaling.summary import summary
from transfer.models.resnet import compound_scaled
from transfer.scaling.compound import COMPOUNDS

# Those with few blocks, which are soon counted, and on which the claim rests.
COUNTED = ("width", "uniform", "fast")


@functools.cache
def live():
    """ResNet-20 counted anew, at every other growth."""
    return [counted("ResNet-20", scaling, growth) for scaling in COUNTED for growth in GROWTHS[::2]]


def of(scaling, rows):
    return [row for row in rows if row["scaling"] == scaling]


@functools.cache
def committed():
    return pq.read_table(TABLE).to_pylist()


@pytest.mark.parametrize("scaling", COUNTED)
@pytest.mark.parametrize("kind", KINDS)
def test_counts_grow_by_the_exponents_of_the_theory(scaling, kind):
    theory = float(getattr(COMPOUNDS[scaling], kind))
    assert exponent(of(scaling, live()), kind) == pytest.approx(theory, abs=TOLERANCE)


def test_activations_grow_as_the_square_root_of_flops_by_width_alone():
    # All but 10 logits are in proportion to width, and only a stem's FLOPs, 1 % here, are not to
    # its square: 0.002 over a growth of 64.
    assert exponent(of("width", live()), "activations") == pytest.approx(1 / 2, abs=0.005)
    # Half the distance to 5/6, so that neither rounding nor the stem explains it.
    assert exponent(of("uniform", live()), "activations") > 1 / 2 + (5 / 6 - 1 / 2) / 2


def test_the_judge_sees_one_way_of_scaling_passed_off_for_another():
    names = {"width": "uniform", "uniform": "width"}
    swapped = [{**row, "scaling": names.get(row["scaling"], row["scaling"])} for row in committed()]
    honest, fooled = judge(committed()), judge(swapped)
    for network in NETWORKS:
        for name, kind in ((name, kind) for name in names for kind in KINDS):
            assert honest["networks"][network][name][kind]["agrees"], (name, kind)
            assert not fooled["networks"][network][name][kind]["agrees"], (name, kind)
    assert fooled["answer"]["agree"] < honest["answer"]["agree"]


def test_the_committed_networks_are_those_that_the_code_grows():
    assert [(row["network"], row["scaling"], row["growth"]) for row in committed()] == asked()
    for row in committed():
        config, resolution = compound_scaled(
            *NETWORKS[row["network"]], COMPOUNDS[row["scaling"]], row["growth"]
        )
        shape = row["width"], tuple(row["stages"]), row["resolution"]
        assert shape == (config.width, config.stages, resolution)


def test_the_committed_counts_are_those_of_the_code():
    table = {(row["network"], row["scaling"], row["growth"]): row for row in committed()}
    largest = [counted("ResNet-50", scaling, GROWTHS[-1]) for scaling in COUNTED]
    for row in [*live(), *largest]:
        assert row == table[row["network"], row["scaling"], row["growth"]]


def test_verdict_tables_and_figure_follow_from_the_counts():
    verdict = judge(committed())
    assert verdict == json.loads((HERE / "verdict.json").read_text())
    readme = (HERE / "README.md").read_text()
    for made in summary(committed(), verdict).split("\n\n"):
        assert made in readme
    axes = growth_figure(committed(), verdict).axes
    for axis, kind in zip(axes, KINDS, strict=True):
        labels = {text.get_text() for text in axis.texts}
        assert labels == {
            f"{name}  {verdict['networks']['ResNet-50'][name][kind]['value']:.2f} "
            f"({getattr(compound, kind)})"
            for name, compound in COMPOUNDS.items()
        }
        # One line of theory and one row of points each.
        assert len(axis.lines) == 2 * len(COMPOUNDS)
