"""The configurations that ship with the package, by name."""

from pathlib import Path

from transfer.errors import TransferError, nearest


def shipped() -> dict[str, Path]:
    """Return the shipped config files by name, of an installed package or of a checkout.

    Example:
      >>> shipped()["quickstart"].name
      'quickstart.py'
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "configs", package.parent / "configs"):
        if files := sorted(folder.glob("*.py")):
            return {file.stem: file for file in files}
    raise TransferError(f"No config files were found beside the package {package}.")


def shipped_file(name: str) -> Path:
    """Return the path of a shipped config; raises `TransferError` for a name that is none."""
    files = shipped()
    if name not in files:
        raise TransferError(
            f'No configuration named "{name}" ships with transfer{nearest(name, files)}; expected '
            f"one of {', '.join(files)}."
        )
    return files[name]
