"""Preprocessing of CCD clusters: image and metadata, with statistics of the training split."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np

from particle_zoo.clusters import MASK_UNIT, Clusters
from particle_zoo.detectors.morphology import METADATA, SUMMED, features
from particle_zoo.errors import InputError
from particle_zoo.pipelines.rasterise import rasterise

BRIGHT = 0.99
"""Quantile of the hit energies that becomes 1: a few saturated pixels must not darken all others."""


@dataclass(frozen=True)
class CCDPreprocessor:
    """Turn clusters into model inputs; travels with the weights.

    Args:
        size: side of the image, px.
        input: "mask" (share of the pixel that was hit) or "energy" (energy above `energy_floor` over `energy_scale`,
            clipped to [0, 1]).
        with_meta: whether the model takes the four metadata values too.
        energy_floor: energy that becomes 0: the dimmest training pixel, in ADU just above the clustering threshold.
        energy_scale: energy above the floor that becomes 1.
        meta_mean: means of the logarithms of height, width, size and energy sum.
        meta_std: their standard deviations.
        unit: of the energies the statistics come from; sums of masks are in ADU.
    """

    LEARNED: ClassVar[frozenset[str]] = frozenset({"energy_floor", "energy_scale", "meta_mean", "meta_std", "unit"})
    FIXED_SHAPE: ClassVar[bool] = True
    TABLE: ClassVar[frozenset[str]] = frozenset({"energy_sum", SUMMED})

    size: int = 64
    input: str = "mask"
    with_meta: bool = False
    energy_floor: float = 0.0
    energy_scale: float = 1.0
    meta_mean: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    meta_std: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    unit: str = ""

    def fit(self, clusters: Clusters) -> CCDPreprocessor:
        """A copy with the statistics of these clusters, and of no others.

        Unknown energy sums are left out; where all are unknown the column stays at 0.

        Raises:
            InputError: energies asked of clusters that are masks.
        """
        if self.input == "energy" and clusters.unit == MASK_UNIT:
            raise InputError("these clusters are masks without pixel energies; use the mask (--set input=mask)")
        logs = _log_metadata(clusters)
        known = np.isfinite(logs)
        count = np.maximum(known.sum(0), 1)
        mean = np.where(known, logs, 0).sum(0) / count
        std = np.sqrt((np.where(known, logs - mean, 0) ** 2).sum(0) / count)
        energy = clusters.column("energy")
        floor = float(energy.min()) if self.input == "energy" else 0.0
        # Half a unit below the dimmest pixel, so that every hit differs from the background.
        floor -= 0.5 if floor > 1 else 0.0
        scale = float(np.quantile(energy, BRIGHT)) - floor if self.input == "energy" else 1.0
        return replace(
            self,
            energy_floor=floor,
            energy_scale=scale or 1.0,
            meta_mean=tuple(float(m) for m in mean),
            meta_std=tuple(float(s) if s > 0 else 1.0 for s in std),
            unit=_sum_unit(clusters),
        )

    def __call__(self, clusters: Clusters) -> Any:
        """Model inputs of n clusters.

        Returns:
            (n, size, size, 1) float32 in [0, 1], or with metadata a dict of it as `image` and (n, 4) float32 `meta`,
            standardised, 0 where unknown.

        Raises:
            InputError: energies asked of clusters that are masks, or energies in another unit than those of `fit`.
        """
        uses_energy = self.with_meta or self.input == "energy"
        if uses_energy and len(clusters) and self.unit not in ("", _sum_unit(clusters)):
            raise InputError(
                f"the model learned energies in {self.unit}, these clusters are in {_sum_unit(clusters)}; convert them, "
                f"or train on clusters in {_sum_unit(clusters)}"
            )
        if self.input == "energy":
            image = rasterise(clusters, self.size, "energy", scaled=(self.energy_floor, self.energy_scale))
        else:
            image = rasterise(clusters, self.size, "mask")
        if not self.with_meta:
            return image[..., None]
        meta = (_log_metadata(clusters) - self.meta_mean) / self.meta_std
        return {"image": image[..., None], "meta": np.nan_to_num(meta, nan=0.0).astype(np.float32)}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> CCDPreprocessor:
        """The inverse of `to_dict`."""
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**fields)


def _sum_unit(clusters: Clusters) -> str:
    return "ADU" if clusters.unit == MASK_UNIT else clusters.unit


def _log_metadata(clusters: Clusters) -> np.ndarray:
    """(n, 4) natural logarithms of the metadata; NaN where an energy sum is unknown or not positive."""
    values = features(clusters, names=METADATA).to_numpy()
    return np.log(np.where(values > 0, values, np.nan))
