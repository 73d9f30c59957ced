"""What width does to a parameter."""

import enum


class Role(enum.StrEnum):
    """The five ways in which a parameter's shape depends on width (m = width / base width).

    | role   | from -> to       | examples                                      |
    |--------|------------------|-----------------------------------------------|
    | input  | finite -> width  | embeddings, a first layer on raw features     |
    | hidden | width -> width   | attention and feed-forward matrices           |
    | output | width -> finite  | the readout                                   |
    | vector | width, no fan-in | norm gains and biases                         |
    | scalar | nothing grows    | gains of a fixed head dimension, logit biases |
    """

    INPUT = "input"
    HIDDEN = "hidden"
    OUTPUT = "output"
    VECTOR = "vector"
    SCALAR = "scalar"
