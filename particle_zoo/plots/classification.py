"""Figures of classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from particle_zoo.plots import figure


def confusion(matrix: Sequence[Sequence[int]], classes: Sequence[str], path: Path, title: str = "") -> None:
    """Draw a confusion matrix; rows are the truth."""
    from sklearn.metrics import ConfusionMatrixDisplay

    with figure(path, figsize=(1.6 + len(classes), 1.2 + len(classes))) as (_, axes):
        ConfusionMatrixDisplay(np.asarray(matrix), display_labels=list(classes)).plot(
            ax=axes[0, 0], cmap="Blues", colorbar=False
        )
        axes[0, 0].set_title(title)


def reliability(truth: np.ndarray, probability: np.ndarray, classes: Sequence[str], path: Path) -> None:
    """Draw how often each class is true against how probable the model says it is.

    Args:
        truth: (n,) class index.
        probability: (n, classes) in 0..1.
        classes: class names.
        path: PNG to write.
    """
    from sklearn.calibration import calibration_curve

    with figure(path, 2, 1, figsize=(5, 6), heights=(3, 1)) as (_, axes):
        upper, lower = axes[:, 0]
        upper.plot([0, 1], [0, 1], color="grey", linestyle=":")
        for i, name in enumerate(classes):
            share, mean = calibration_curve(truth == i, np.clip(probability[:, i], 0, 1), n_bins=8)
            upper.plot(mean, share, marker="o", label=name)
            lower.hist(probability[:, i], bins=20, range=(0, 1), histtype="step")
        upper.set_ylabel("share that is this class")
        lower.set_xlabel("predicted probability")
        lower.set_ylabel("clusters")
        lower.set_yscale("log")
        upper.legend()
