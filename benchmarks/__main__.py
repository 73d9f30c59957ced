"""Prints every ratio: `python -m benchmarks`."""

from rich.console import Console
from rich.table import Table

from benchmarks import convolution, measurement, optimizer, population, spectrum
from transfer.cli import platform


def main() -> None:
    table = Table("what is compared", "ratio of times, median [lowest, highest]")
    for benchmark in (optimizer, convolution, population, measurement, spectrum):
        for name, measured in benchmark.measure().items():
            table.add_row(name, str(measured))
    Console().print(table)


if __name__ == "__main__":
    platform.prepare()
    main()
