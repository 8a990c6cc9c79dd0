"""How well an autoencoder draws clusters again: energies, masks and sharpness, by track type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.holy import CLASSES
from particle_zoo.evaluation.image_pca import ImagePCA, enlarged
from particle_zoo.evaluation.sharpness import sharpness, thin_tracks
from particle_zoo.pipelines.timepix import ENERGY_SCALE_KEV

THRESHOLD_KEV = 5.0
"""Usual detection threshold of a Timepix pixel; half of it is a hit where a model has no mask head."""

MEASURES = ("error", "iou", "enlarged_iou", "over_iou", "sharpness", "sharpness_masked")

Outputs = dict[str, np.ndarray]


def energies(images: np.ndarray) -> np.ndarray:
    """(n, size, size) float64 keV of (n, size, size, channels) images; what lies below 0 is no energy."""
    return ENERGY_SCALE_KEV * np.maximum(images[..., 0].astype(np.float64), 0) ** 2


def hits(outputs: Outputs) -> np.ndarray:
    """(n, size, size) bool: which pixels a reconstruction says were hit.

    With a mask head those of probability 0.5 and more, otherwise those of more than half the detection threshold.
    """
    if "mask" in outputs:
        return np.asarray(outputs["mask"])[..., 0] >= 0.5
    return energies(outputs["image"]) > THRESHOLD_KEV / 2


def over_threshold(outputs: Outputs) -> np.ndarray:
    """(n, size, size) bool: which pixels a reconstruction says are over the energy threshold of the last channel."""
    head = outputs["over_threshold"][..., 0] if "over_threshold" in outputs else outputs["image"][..., -1]
    return np.asarray(head) >= 0.5


def energy_error(truth: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Energy-weighted error of each cluster, sum max(E, Ê) |E - Ê| / sum E^2 over its pixels: 0 perfect, 1 for an empty image.

    The larger of both energies weighs, so that strong pixels count most and energy drawn beside the cluster counts too;
    it may exceed 1.

    Args:
        truth: (..., pixels) energies E, any unit.
        drawn: (..., pixels) energies Ê in the same.
    """
    wrong = (np.maximum(truth, drawn) * np.abs(truth - drawn)).sum(axis=-1)
    return np.asarray(wrong / np.maximum((truth**2).sum(axis=-1), np.finfo(float).tiny))


def iou(truth: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Pixels in both masks over pixels in either, 0..1; NaN where the true mask is empty.

    Args:
        truth: (..., pixels) bool.
        drawn: the same.
    """
    both, either = (m.sum(axis=-1) for m in (truth & drawn, truth | drawn))
    return np.where(truth.any(axis=-1), both / np.maximum(either, 1), np.nan)


def on_detector(hit: np.ndarray, factor: float, *images: np.ndarray) -> list[np.ndarray]:
    """Means of one cluster's images over the enlarged pixels of each detector pixel, (pixels,) each.

    In an image enlarged 5 times a track one pixel wide is 5 wide, and a rim drawn a fifth of a pixel off costs a fifth of
    its overlap. On the detector it costs little: enlarging is invertible, and this is what a physicist gets back. The grid
    starts at the cluster and reaches over the whole image, so that what is drawn beside the cluster counts.

    Args:
        hit: (size, size) bool, the enlarged cluster; not empty.
        factor: its enlargement; below 1, where blocks were averaged, an image pixel stands for itself.
        images: (size, size) each.
    """
    step = max(int(factor), 1)
    lines = []
    for side, axis in zip(hit.shape, (1, 0), strict=True):
        line = (np.arange(side) - hit.any(axis=axis).argmax()) // step
        lines.append(line - line[0])
    row, col = lines
    cell = (row[:, None] * (col[-1] + 1) + col).ravel()
    area = np.bincount(cell)
    return [np.bincount(cell, image.ravel()) / area for image in images]


def score(truth: np.ndarray, outputs: Outputs, thin: np.ndarray, factors: np.ndarray) -> pd.DataFrame:
    """`MEASURES` of some clusters, one row each; what does not apply is NaN.

    `error` is the `energy_error` and `iou` that of the hit pixels, both on the detector's pixels (one is drawn as hit where
    half of its enlarged pixels are); `enlarged_iou` that of the enlarged image, `over_iou` of its pixels over the energy
    threshold, `sharpness` that of thin tracks, `sharpness_masked` the same after pixels outside the predicted mask are emptied.

    Args:
        truth: (n, size, size, channels) enlarged inputs.
        outputs: `image` and, with mask heads, `mask` and `over_threshold`.
        thin: (n,) bool, where the sharpness is taken.
        factors: (n,) enlargement of each.
    """
    found = dict.fromkeys(MEASURES, np.full(len(truth), np.nan))
    hit, mask, n = truth[..., 0] > 0, hits(outputs), len(truth)
    before, after = energies(truth), energies(outputs["image"])
    found["error"], found["iou"] = np.full((2, n), np.nan)
    for i, factor in enumerate(factors):
        energy, guess, true, drawn = on_detector(hit[i], factor, before[i], after[i], hit[i], mask[i])
        found["error"][i] = energy_error(energy, guess)
        found["iou"][i] = iou(true >= 0.5, drawn >= 0.5)
    found["enlarged_iou"] = iou(hit.reshape(n, -1), mask.reshape(n, -1))
    found["over_iou"] = iou((truth[..., -1] >= 0.5).reshape(n, -1), over_threshold(outputs).reshape(n, -1))
    drawings = {"sharpness": outputs["image"][..., 0]}
    if "mask" in outputs:
        drawings["sharpness_masked"] = np.where(mask, drawings["sharpness"], 0)
    for name, drawn in drawings.items():
        found[name] = np.array(
            [
                sharpness(*images) if ok else np.nan
                for ok, *images in zip(thin, truth[..., 0], drawn, factors, strict=True)
            ]
        )
    return pd.DataFrame(found)


def rows(model: Any, clusters: Clusters, pca: ImagePCA | None = None) -> dict[str, pd.DataFrame]:
    """`score` of every cluster by the model and, with `pca`, by its two baselines; a batch at a time.

    Args:
        model: with `preprocess`, `enlarge`, `reconstruct`, `factors`.
        clusters: at least one.
        pca: components of training images, as many as the model has latent values.

    Returns:
        One table a method: the model's `zoo_name`, "PCA" and "all zero".
    """
    factors = np.asarray(model.factors(clusters), float)
    thin = thin_tracks(clusters, factors)
    found: dict[str, list[pd.DataFrame]] = {}
    for part, inputs, truth in enlarged(model, clusters):
        drawn = {model.zoo_name: {k: np.asarray(v, np.float32) for k, v in model.reconstruct(inputs).items()}}
        if pca is not None:
            drawn |= {"PCA": {"image": pca.reconstruct(truth)}, "all zero": {"image": np.zeros_like(truth)}}
        for name, outputs in drawn.items():
            found.setdefault(name, []).append(score(truth, outputs, thin[part], factors[part]))
    return {name: pd.concat(tables, ignore_index=True) for name, tables in found.items()}


def summary(table: pd.DataFrame, kinds: np.ndarray) -> dict[str, Any]:
    """Means over clusters with their standard errors, overall and by track type; the sharpness as a median, with its number of tracks.

    Args:
        table: of `rows`, n rows.
        kinds: (n,) track types of `particle_zoo.detectors.holy.classify`.
    """
    found: dict[str, Any] = _means(table)
    for name in ("sharpness", "sharpness_masked"):
        values = table[name].dropna()
        found[name] = float(values.median()) if len(values) else None
    found["thin_tracks"] = int(table["sharpness"].notna().sum())
    found["by_type"] = {kind: _means(table[kinds == kind]) for kind in CLASSES if (kinds == kind).any()}
    return found


def _means(table: pd.DataFrame) -> dict[str, Any]:
    means = {name: table[name].dropna() for name in ("error", "iou", "enlarged_iou", "over_iou")}
    found: dict[str, Any] = {name: float(v.mean()) if len(v) else None for name, v in means.items()}
    errors = {name: float(np.std(v, ddof=1)) / len(v) ** 0.5 if len(v) > 1 else None for name, v in means.items()}
    return {"n": len(table), **found, "standard_errors": errors}
