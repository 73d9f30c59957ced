"""The sample of a matrix leaves out cases, and no value of a parameter."""

import itertools

from sampling import sample


class Case:
    """As much of a test as the sample looks at."""

    def __init__(self, name, *marks, **params):
        self.nodeid, self.marks = name, marks
        if params:
            self.callspec, self.params = self, params

    def get_closest_marker(self, name):
        return name if name in self.marks else None


def test_each_value_of_each_parameter_is_in_a_case_of_the_sample():
    matrix = [
        Case(f"test_matrix[{a}-{b}]", "sampled", a=a, b=b)
        for a, b in itertools.product(range(5), range(3))
    ]
    chosen = sample(matrix)
    assert {case.params["a"] for case in chosen} == set(range(5))
    assert {case.params["b"] for case in chosen} == set(range(3))
    assert len(chosen) == 5
    assert sample(matrix) == chosen


def test_matrices_are_covered_apart():
    matrix = [
        Case(f"test_{name}[{a}]", "sampled", a=a) for name in ("one", "other") for a in range(3)
    ]
    assert sample(matrix) == set(matrix)


def test_what_is_marked_full_is_left_out_and_the_rest_is_not():
    plain, full = Case("test_plain"), Case("test_full", "full")
    # A value that `full` cases alone have is left out too.
    matrix = [
        Case("test_matrix[0]", "sampled", a=0),
        Case("test_matrix[1]", "sampled", "full", a=1),
    ]
    alone = Case("test_alone", "sampled")
    assert sample([plain, full, alone, *matrix]) == {plain, alone, matrix[0]}
