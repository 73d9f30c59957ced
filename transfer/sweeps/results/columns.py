"""Which column of anyone's table is which: by its own name, a usual one, or as it is told."""

import re
from collections.abc import Mapping, Sequence

from transfer.errors import TransferError, nearest
from transfer.scaling.hyperparameters import MULTIPLIERS
from transfer.sweeps.results.records import SECTIONS

USUAL: Mapping[str, tuple[str, ...]] = {
    "width": ("width", "d_model", "hidden_size", "n_embd", "embed_dim", "model_width"),
    "learning_rate": ("learning_rate", "lr", "peak_lr", "max_lr", "base_lr"),
    "eval_loss": (
        "eval_loss",
        "val_loss",
        "valid_loss",
        "validation_loss",
        "test_loss",
        "held_out_loss",
    ),
    "loss": ("loss", "train_loss", "training_loss", "final_loss"),
    "seed": ("seed", "random_seed"),
    "weight_decay": ("weight_decay", "wd"),
    "recipe": ("recipe", "parametrization", "parameterization"),
    "base_width": ("base_width",),
    "steps": ("steps", "num_steps", "max_steps", "train_steps", "total_steps"),
    "tokens": ("tokens", "num_tokens", "total_tokens"),
    "parameters": ("parameters", "num_parameters", "n_params", "num_params"),
    "flops": ("flops", "total_flops"),
    "layers": ("layers", "n_layers", "num_layers", "n_layer", "num_hidden_layers", "depth"),
    "batch_size": ("batch_size", "global_batch_size"),
    "optimizer": ("optimizer", "optim"),
    "status": ("status", "state"),
    "eval_accuracy": ("eval_accuracy", "val_accuracy", "accuracy"),
    "wall_seconds": ("wall_seconds", "runtime", "_runtime"),
    "trial": ("trial", "run_name", "name", "run_id"),
    **{name: (name,) for name in MULTIPLIERS},
}
"""The columns of a trial that a table may have, and what others call them, the first preferred.

Case, a section such as `config.` or `metrics.`, and the sign between words do not count.
"""

_NEEDED = ("width", "learning_rate")
_LOSSES = ("eval_loss", "loss")


def find_columns(names: Sequence[str], chosen: Mapping[str, str], where: str) -> dict[str, str]:
    """Return the table's own name for each column of a trial that it has.

    Arguments:
      names: the columns of the table.
      chosen: the table's own names for some columns of a trial; empty for one to leave unread.
      where: the table, in messages.

    Raises:
      TransferError: width, learning rate or both losses are missing, or something was chosen that
        there is not.

    Example:
      >>> find_columns(["d_model", "params.lr", "metrics.val/loss"], {}, "the table")
      {'width': 'd_model', 'learning_rate': 'params.lr', 'eval_loss': 'metrics.val/loss'}
    """
    for ours, theirs in chosen.items():
        if ours not in USUAL:
            raise TransferError(
                f'The column "{ours}" is none of a trial{nearest(ours, USUAL)}; expected one of '
                f"{', '.join(USUAL)}."
            )
        if theirs and theirs not in names:
            raise TransferError(
                f'{where} has no column "{theirs}"{nearest(theirs, names)}; it has '
                f"{', '.join(names)}: name one of them as {ours}=COLUMN."
            )
    plain: dict[str, str] = {}
    for name in names:
        plain.setdefault(_plain(name), name)
    found = {}
    for ours, usual in USUAL.items():
        default = next((plain[each] for each in usual if each in plain), "")
        if name := chosen.get(ours, default):
            found[ours] = name
    missing = [ours for ours in _NEEDED if ours not in found]
    if not any(loss in found for loss in _LOSSES):
        missing.append("eval_loss")
    if missing:
        raise TransferError(
            f"{where} has no column of the {' and the '.join(missing)}; it has {', '.join(names)}: "
            f"name it by --columns={missing[0]}=COLUMN, or in Python by "
            f'columns={{"{missing[0]}": "COLUMN"}}.'
        )
    return found


def _plain(name: str) -> str:
    section, dot, rest = name.replace("/", ".", 1).partition(".")
    within = rest if dot and section.lower() in SECTIONS else name
    return re.sub(r"[\s./-]+", "_", within.strip().lower())
