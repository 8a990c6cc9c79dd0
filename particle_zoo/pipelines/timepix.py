"""Preprocessing of Timepix clusters: small rasters of energy, time and pixels over a threshold.

A raster has one pixel a detector pixel and is as small as the clusters of its batch allow; the model enlarges it on the
device (`particle_zoo.layers.Enlarge`). Everything is fixed beforehand and nothing is learned from the training clusters,
so an encoder pretrained on one detector sees the same values on another; only whether there were times is remembered.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np

from particle_zoo.clusters import MASK_UNIT, Clusters
from particle_zoo.errors import InputError
from particle_zoo.pipelines.draw import boxes, rasters

ENERGY_SCALE_KEV = 100.0
"""Energy of a pixel that becomes 1: about what a minimum-ionising particle leaves in 300 um of silicon."""

ENERGY_LIMIT_KEV = 1500.0
"""Pixels count as this at most: no Timepix reads more reliably (facts of the SATRAM analysis, quality cut)."""

TIME_SCALE_NS = 100.0
"""Time after the first hit that becomes 1."""

TIME_LIMIT_NS = 1000.0
"""Hits later than this count as this late."""

MAX_FACTOR = 5
"""Largest enlargement of a cluster (seed 001)."""

SIDES = (16, 32, 64, 80)
"""Rasters come in these sides (px) and in powers of two beyond them, so that a device meets few different shapes.

The largest cluster that is enlarged 4 times in an image of 384 px has 96 px, and one of 77 px, the first that is not enlarged
5 times, fits into 80: a raster of 128 px would take 2.6 times the memory and the time to fill it.
"""

CHANNELS = ("energy", "time", "over_threshold")


@dataclass(frozen=True)
class TimepixPreprocessor:
    """Turn clusters in keV into rasters of three channels.

    Square roots compress the range of the deposits (seed 001).

    0. energy: sqrt(E / 100 keV) of a pixel, E up to 1500 keV: 0 (no hit) to 3.87.
    1. time: sqrt(dt / 100 ns) after the first hit of the cluster, dt up to 1000 ns: 0 to 3.16. It stays empty where
       clusters have no times, and where those of `fit` had none: a model that never saw a time must not be shown one.
    2. over_threshold: 1 for a pixel of at least `over_kev`, else 0.

    Hits without energy (0 keV or less) are no pixels. A cluster larger than `size` is averaged over blocks of m x m
    pixels, m the smallest whole number that makes it fit: energies and the map over all pixels of the block, times over
    its hits.

    Args:
        size: side of the image the model sees, px.
        time: "toa" fills the second channel where clusters have times, "zero" leaves it empty, "drop" leaves it out.
        over_kev: energy threshold of the last channel, keV.
        times: whether the clusters of `fit` had times.
    """

    LEARNED: ClassVar[frozenset[str]] = frozenset({"times"})
    FIXED_SHAPE: ClassVar[bool] = False
    TABLE: ClassVar[frozenset[str]] = frozenset()

    size: int = 384
    time: str = "toa"
    over_kev: float = 40.0
    times: bool = True

    @property
    def channels(self) -> int:
        """Channels of a raster."""
        return len(CHANNELS) - (self.time == "drop")

    def fit(self, clusters: Clusters) -> TimepixPreprocessor:
        """A copy that knows whether these clusters have times.

        Raises:
            InputError: as the call, without drawing anything.
        """
        fitted = replace(self, times="toa" in clusters.columns)
        fitted.check(clusters)
        return fitted

    def __call__(self, clusters: Clusters) -> np.ndarray:
        """Rasters of n clusters.

        Returns:
            (n, side, side, channels) float32, bounding boxes in the top left corner; side is 16, 32, 64, 80, 128, ... as
            needed.

        Raises:
            InputError: no clusters, energies that are missing, in another unit or all zero, or times that are NaN.
        """
        self.check(clusters)
        box = boxes(clusters.hits, clusters.offsets, True)
        extent = np.maximum(box[2], box[3])
        blocks = -(-extent // self.size)
        side = _side(int((-(-extent // blocks)).max()))
        images = np.zeros((len(clusters), side, side, len(CHANNELS)), np.float32)
        for block in np.unique(blocks):
            members = np.flatnonzero(blocks == block)
            if block == 1:
                self._draw(clusters, box, members, images, members)
                continue
            full = np.zeros((len(members), side * block, side * block, len(CHANNELS)), np.float32)
            self._draw(clusters, box, members, full, np.arange(len(members)), root=False)
            mean = _averaged(full, int(block))
            mean[..., :2] = np.sqrt(mean[..., :2] / (ENERGY_SCALE_KEV, TIME_SCALE_NS))
            images[members] = mean
        if self.time == "drop":
            return np.ascontiguousarray(images[..., [0, 2]])
        return images

    def _draw(
        self,
        clusters: Clusters,
        box: np.ndarray,
        members: np.ndarray,
        images: np.ndarray,
        places: np.ndarray,
        *,
        root: bool = True,
    ) -> None:
        """Draw some clusters at one pixel a pixel; see `particle_zoo.pipelines.draw.rasters`."""
        rasters(
            clusters.hits, clusters.offsets, box, members, images, places, self._shows_times(clusters),
            (ENERGY_LIMIT_KEV, TIME_LIMIT_NS), (ENERGY_SCALE_KEV, TIME_SCALE_NS), np.float32(self.over_kev), root,
        )  # fmt: skip

    def factors(self, clusters: Clusters) -> np.ndarray:
        """(n,) side of a detector pixel in the image the model sees, px: 5, 4, ... 1, or 1/2, 1/3, ... where averaged."""
        extent = _extent(clusters)
        return np.where(
            extent <= self.size, np.minimum(MAX_FACTOR, self.size // extent), 1 / np.ceil(extent / self.size)
        )

    def largest(self, clusters: Clusters) -> int:
        """Which cluster takes the largest raster: not the largest cluster, where that one is averaged over blocks."""
        extent = _extent(clusters)
        return int(np.argmax(-(-extent // -(-extent // self.size))))

    def averaged(self, clusters: Clusters) -> int:
        """How many clusters that can be drawn are larger than the image and therefore averaged over blocks."""
        return int((self.factors(clusters[self.drawable(clusters)]) < 1).sum())

    def drawable(self, clusters: Clusters) -> np.ndarray:
        """(n,) whether a cluster in keV has an energy, and finite energies and times where they are looked at."""
        sound = np.isfinite(clusters.column("energy"))
        if self._shows_times(clusters):
            sound &= np.isfinite(clusters.column("toa"))
        starts = clusters.offsets[:-1]
        lit = np.maximum.reduceat(np.nan_to_num(clusters.column("energy")), starts) > 0
        return np.asarray(np.logical_and.reduceat(sound, starts) & lit)

    def _shows_times(self, clusters: Clusters) -> bool:
        return self.time == "toa" and self.times and "toa" in clusters.columns

    def check(self, clusters: Clusters) -> None:
        """See that all these clusters can be drawn.

        Raises:
            InputError: as the call.
        """
        if not len(clusters):
            raise InputError("no clusters to draw: received an empty batch; choose another --split, --classes or file")
        if clusters.unit == MASK_UNIT:
            raise InputError(
                "these clusters are masks without pixel energies; Timepix models need energies in keV, so read files that have them"
            )
        if clusters.unit != "keV":
            raise InputError(
                f"these clusters are in {clusters.unit}; Timepix models need energies in keV, so give --calibration when reading"
            )
        drawable = self.drawable(clusters)
        if drawable.all():
            return
        bad = int(np.flatnonzero(~drawable)[0])
        name, start, end = clusters.ids[bad], clusters.offsets[bad], clusters.offsets[bad + 1]
        energy = clusters.column("energy")[start:end]
        if not np.isfinite(energy).all():
            wrong = f"a pixel energy of {energy[~np.isfinite(energy)][0]}"
        elif energy.max() <= 0:
            wrong = f"no energy (its brightest pixel reads {energy.max():g} keV)"
        else:
            time = clusters.column("toa")[start:end]
            wrong = f"a time of arrival of {time[~np.isfinite(time)][0]}"
        raise InputError(
            f"cluster {name} has {wrong}, as have {(~drawable).sum() - 1} more of {len(clusters)}; check the calibration, or "
            "leave such clusters out of the files"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TimepixPreprocessor:
        """The inverse of `to_dict`."""
        return cls(**values)


def _extent(clusters: Clusters) -> np.ndarray:
    """(n,) longer side of the bounding box of the hits that have an energy, px."""
    box = boxes(clusters.hits, clusters.offsets, True)
    return np.maximum(box[2], box[3])


def _side(extent: int) -> int:
    return next((side for side in SIDES if extent <= side), 1 << (extent - 1).bit_length())


def _averaged(images: np.ndarray, block: int) -> np.ndarray:
    n, side, _, channels = images.shape
    blocks = images.reshape(n, side // block, block, side // block, block, channels)
    mean = blocks.mean(axis=(2, 4))
    hits = (blocks[..., 0] > 0).sum(axis=(2, 4))
    mean[..., 1] = blocks[..., 1].sum(axis=(2, 4)) / np.maximum(hits, 1)
    return mean
