"""Runs notebooks at full size and keeps their outputs: `python notebooks/execute.py [FILE ...]`."""

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent


def execute(file: Path) -> None:
    """Run a notebook from a fresh kernel and write it back, without the time of day."""
    notebook = nbformat.read(file, as_version=4)
    client = NotebookClient(
        notebook, timeout=None, kernel_name="python3", record_timing=False, coalesce_streams=True
    )
    client.execute(cwd=HERE)
    # Of the kernel that ran it, only what a reader needs: versions change with every machine.
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    nbformat.write(notebook, file)


if __name__ == "__main__":
    os.environ["NOTEBOOK_SIZE"] = "full"
    for name in sys.argv[1:] or sorted(map(str, HERE.glob("*.ipynb"))):
        print(name, flush=True)
        execute(Path(name))
