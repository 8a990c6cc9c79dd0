"""Training curves."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from particle_zoo.plots import figure


def curves(table: pd.DataFrame, path: Path) -> None:
    """Draw every logged quantity against the epoch, training and validation in one panel each.

    Args:
        table: history.csv; columns `epoch`, quantities, and `val_` quantities.
        path: PNG to write.
    """
    names = [n for n in table.columns if n != "epoch" and not n.startswith("val_") and n != "learning_rate"]
    with figure(path, 1, len(names), figsize=(4 * len(names), 3.2)) as (_, axes):
        for axis, name in zip(axes[0], names, strict=True):
            axis.plot(table["epoch"], table[name], label="training")
            if f"val_{name}" in table:
                axis.plot(table["epoch"], table[f"val_{name}"], label="validation")
            axis.set_xlabel("epoch")
            axis.set_ylabel(name)
            axis.legend()
