import pytest

from transfer.scaling import Annotated, Axes, Layout, Recipe, explain

PRINTED = """\
mup+sqrt for entrywise optimizers
parameter  axes                   shape     role    m in  m out  m depth  std    multiplier  learning rate  weight decay  epsilon
table      vocab -> embed         100x256   input   1     4      1        0.02   1           1              0             0.25
up         layers | embed -> ffn  2x256x96  hidden  4     3      1        0.125  1           0.25           2             0.3333
gain       layers | embed         2x256     vector  1     4      1        const  1           1              0             0.25
norm       head_dim               16        scalar  1     1      1        const  1           1              0             1
readout    embed -> vocab         256x100   output  4     1      1        0.125  0.25        1              0             0.25"""  # noqa: E501


def model(width: int, ffn: int) -> dict[str, Annotated]:
    def array(axes: str, *shape: int, **init: float) -> Annotated:
        return Annotated(axes=Axes.parse(axes), shape=shape, **init)

    return {
        "table": array("vocab -> embed", 100, width, std=0.02),
        "up": array("layers | embed -> ffn", 2, width, ffn, gain=2.0),
        "gain": array("layers | embed", 2, width),
        "norm": array("head_dim", 16),
        "readout": array("embed -> vocab", width, 100, gain=1.0),
    }


@pytest.fixture
def layout() -> Layout:
    return Layout.compare(base=model(64, 32), probe=model(128, 64), target=model(256, 96))


def test_rows(layout):
    rows = {row.parameter: row for row in explain(layout, Recipe("mup"), "linear")}
    assert list(rows) == ["table", "up", "gain", "norm", "readout"]
    up = rows["up"]
    assert (up.axes, up.shape, up.role) == ("layers | embed -> ffn", (2, 256, 96), "hidden")
    assert (up.m_in, up.m_out, up.m_depth) == ("4", "3", "1")
    assert (up.std, up.multiplier) == (0.125, 1.0)
    assert (up.learning_rate, up.weight_decay) == (0.75, pytest.approx(4 / 3))
    table = rows["table"]
    assert (table.std, table.learning_rate, table.weight_decay) == (0.02, 4.0, 0.0)
    assert rows["gain"].std is None
    assert [row.epsilon for row in rows.values()] == [0.25, pytest.approx(1 / 3), 0.25, 1.0, 0.25]


def test_ratios_are_printed_exactly():
    wider = Layout.compare(base=model(64, 64), probe=model(128, 128), target=model(96, 32))
    row = next(row for row in explain(wider, Recipe("mup")) if row.parameter == "up")
    assert (row.m_in, row.m_out) == ("3/2", "1/2")


def test_what_lies_in_blocks_has_a_depth():
    def deep(width, layers):
        blocks = Annotated(axes=Axes.parse("layers | embed"), shape=(layers, width))
        return {"gain": blocks, "norm": Annotated(axes=Axes.parse("embed"), shape=(width,))}

    layout = Layout.compare(base=deep(8, 2), probe=deep(16, 2), target=deep(8, 3))
    gain, norm = explain(layout, Recipe("mup", depth="depth_mup"))
    assert (gain.m_depth, norm.m_depth) == ("3/2", "1")
    assert gain.learning_rate == pytest.approx(1.5**-0.5)


def test_printed_table(layout):
    assert str(explain(layout, Recipe("mup"))) == PRINTED


def test_cells_hold_the_header_and_every_row(layout):
    header, *rows = explain(layout, Recipe("standard")).cells()
    assert header[:2] == ["parameter", "axes"]
    assert header[-5:] == ["std", "multiplier", "learning rate", "weight decay", "epsilon"]
    assert [row[0] for row in rows] == ["table", "up", "gain", "norm", "readout"]
    assert rows[1][-5:] == ["0.125", "1", "1", "1", "1"]
    assert str(explain(layout, Recipe("standard"), "linear")).startswith(
        "standard for linear optimizers\n"
    )
