"""How well scores tell pixels with signal from those without, one frame in memory at a time."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array
from scipy.special import digamma

from particle_zoo.errors import InputError
from particle_zoo.evaluation.anomaly.bootstrap import Interval, Statistic, intervals
from particle_zoo.evaluation.anomaly.score_bins import bin_of

LIMITS = (0.3, 0.01)
"""False positive rates up to which the per-region overlap is integrated."""


class PixelScores:
    """Histograms of scores, from which ROC AUC, average precision and per-region overlap follow.

    Scores are binned by the leading bits of their float32 value (`score_bins`); those in one bin count as equal. What that
    costs at most is known: `errors`. Histograms are kept by frame, for intervals over frames: at 18 bits some 0.3 MB a frame,
    whatever its size.

    Args:
        bits: of the bins, 10..22.

    Raises:
        InputError: a number of bits that cannot be.
    """

    def __init__(self, bits: int = 18) -> None:
        if isinstance(bits, bool) or not isinstance(bits, int) or not 10 <= bits <= 22:
            raise InputError(f"bits must be a whole number from 10 to 22; received {bits!r}")
        self.bits = bits
        self._frames: list[tuple[np.ndarray, np.ndarray]] = []
        self._regions: list[int] = []

    def __len__(self) -> int:
        return len(self._frames)

    def add(
        self,
        score: np.ndarray,
        truth: np.ndarray,
        instance: np.ndarray | None = None,
        ignore: np.ndarray | None = None,
    ) -> None:
        """Add a frame.

        Args:
            score: (rows, cols) higher where signal is likelier.
            truth: (rows, cols) bool, pixels with signal.
            instance: (rows, cols) id of the event a pixel belongs to; pixels with signal of one event are one region for the
                per-region overlap. Without it there is none.
            ignore: (rows, cols) bool, pixels that count neither way, such as faint tails below the rule of the truth.

        Raises:
            InputError: different shapes, or NaN.
        """
        for name, image in (("truth", truth), ("instance", instance), ("ignore", ignore)):
            if image is not None and image.shape != score.shape:
                raise InputError(f"{name} must have the shape of the scores, {score.shape}; received {image.shape}")
        counted = np.ones(score.shape, bool) if ignore is None else ~ignore.astype(bool)
        positive = counted & truth.astype(bool)
        number = bin_of(score, self.bits)
        counts = np.bincount(number[counted], minlength=2**self.bits)
        used = np.flatnonzero(counts)
        ours = np.searchsorted(used, number[positive])
        sums = np.zeros((3, len(used)))
        sums[1] = np.bincount(ours, minlength=len(used))
        sums[0] = counts[used] - sums[1]
        regions = 0
        if instance is not None:
            event = instance[positive]
            _, owner, pixels = np.unique(event[event > 0], return_inverse=True, return_counts=True)
            sums[2] = np.bincount(ours[event > 0], 1 / pixels[owner], len(used))
            regions = len(pixels)
        self._frames.append((used.astype(np.int32), sums.astype(np.float32)))
        self._regions.append(regions)

    def _histograms(self) -> tuple[csr_array, csr_array, csr_array]:
        """(n, 2^bits) without signal, with signal, and with signal as shares of each region; one row a frame."""
        row = np.repeat(np.arange(len(self)), [len(used) for used, _ in self._frames])
        col = np.concatenate([used for used, _ in self._frames])
        sums = np.concatenate([values for _, values in self._frames], axis=1).astype(np.float64)
        shape = len(self), 2**self.bits
        none, some, share = (csr_array((values, (row, col)), shape) for values in sums)
        return none, some, share

    def values(self, limits: tuple[float, ...] = LIMITS) -> dict[str, float]:
        """AUROC, average precision ("AUPR") and, by limit, the per-region overlap ("AUPRO 0.3") of all frames.

        Args:
            limits: false positive rates up to which the per-region overlap is integrated.

        Returns:
            Values in 0..1; without instances no AUPRO.

        Raises:
            InputError: no frame, or a limit that is no rate.
        """
        names, statistic = self._statistic(limits)
        return dict(zip(names, map(float, statistic(np.ones((1, len(self))))[0]), strict=True))

    def summary(
        self, limits: tuple[float, ...] = LIMITS, *, resamples: int = 1000, seed: int = 0
    ) -> dict[str, Interval]:
        """`values` with intervals over frames.

        Args:
            limits: see `values`.
            resamples: how many.
            seed: of the resamples.

        Raises:
            InputError: no frame, or a limit that is no rate.
        """
        names, statistic = self._statistic(limits)
        found = intervals(statistic, len(self), resamples=resamples, seed=seed)
        return dict(zip(names, found, strict=True))

    def _statistic(self, limits: tuple[float, ...]) -> tuple[list[str], Statistic]:
        parts = self._compact()
        regions = np.array(self._regions, np.float64)
        overlaps = [_limit(limit) for limit in limits] if regions.any() else []

        def statistic(weights: np.ndarray) -> np.ndarray:
            none, some, share = (weights @ part for part in parts)
            columns = [auroc(none, some), average_precision(none, some)]
            columns += [aupro(none, share, weights @ regions, limit) for limit in overlaps]
            return np.column_stack(columns)

        return ["AUROC", "AUPR", *(f"AUPRO {limit:g}" for limit in overlaps)], statistic

    def errors(self, limits: tuple[float, ...] = LIMITS) -> dict[str, float]:
        """How far each value of `values` may be from that of scores that are not binned: an upper bound, not an estimate.

        It is reached if all pixels with signal have the highest, or all the lowest, scores of their bins.
        """
        none, some, share = (part.sum(axis=0) for part in self._compact())
        regions = float(sum(self._regions))
        found = {"AUROC": float((none * some).sum() / 2 / max(none.sum() * some.sum(), 1))}
        low, middle, high = (float(average_precision(none, some, ties)) for ties in ("worst", "equal", "best"))
        found["AUPR"] = max(abs(high - middle), abs(middle - low))
        if regions:
            rate = none[::-1] / max(none.sum(), 1)
            for limit in map(_limit, limits):
                before = np.cumsum(rate) - rate
                inside = np.clip(limit - before, 0, rate)
                # Cut by the limit, a bin may have all of its signal on either side.
                half = np.where(inside < rate, 1.0, 0.5)
                found[f"AUPRO {limit:g}"] = float((inside * half * share[::-1]).sum() / regions / limit)
        return found

    def _compact(self) -> list[np.ndarray]:
        """The histograms without bins that are always empty."""
        if not len(self):
            raise InputError("there is nothing to judge; add frames first")
        parts = self._histograms()
        used = np.flatnonzero((parts[0] + parts[1]).sum(axis=0))
        return [part[:, used].toarray() for part in parts]


def auroc(none: np.ndarray, some: np.ndarray) -> np.ndarray:
    """Area under the ROC curve from histograms; pixels of one bin count half.

    Args:
        none: (..., bins) pixels without signal, scores ascending.
        some: (..., bins) pixels with signal.

    Returns:
        (...) in 0..1; NaN where one kind is missing.
    """
    won = (some * (np.cumsum(none, axis=-1) - none / 2)).sum(axis=-1)
    return _over(won, none.sum(axis=-1) * some.sum(axis=-1))


def average_precision(none: np.ndarray, some: np.ndarray, ties: str = "equal") -> np.ndarray:
    """Mean precision over the pixels with signal, the area under the curve of precision and recall.

    Args:
        none: (..., bins) pixels without signal, scores ascending.
        some: (..., bins) pixels with signal.
        ties: how those of one bin are ordered: "equal" (all have the precision at the end of the bin, as in
            scikit-learn), "best" (signal first) or "worst".

    Returns:
        (...) in 0..1; NaN without signal.
    """
    none, some = none[..., ::-1], some[..., ::-1]
    hits, all_ = np.cumsum(some, axis=-1), np.cumsum(none + some, axis=-1)
    if ties == "equal":
        gained = some * hits / np.maximum(all_, 1)
    else:
        before = all_ - some if ties == "worst" else all_ - some - none
        # Sum of (P + j) / (M + j), j = 1..p, for P hits among M pixels before.
        wrong = before - (hits - some)
        gained = some - wrong * (digamma(before + some + 1) - digamma(before + 1))
    return _over(gained.sum(axis=-1), some.sum(axis=-1))


def aupro(none: np.ndarray, share: np.ndarray, regions: np.ndarray, limit: float) -> np.ndarray:
    """Area under the curve of the per-region overlap against the false positive rate, up to a limit, divided by it.

    The overlap is the share of a region's pixels above the threshold, its mean over regions is the curve: small regions count as
    much as large ones. The rate is that of all pixels without signal; the curve is straight within a bin and ends at
    the limit.

    Source: Bergmann et al., Uninformed Students, arXiv:1911.02357, section 4.

    Args:
        none: (..., bins) pixels without signal, scores ascending.
        share: (..., bins) pixels with signal, each counted as 1 over the pixels of its region.
        regions: (...) number of regions.
        limit: false positive rate, above 0 and up to 1.

    Returns:
        (...) in 0..1; NaN without regions or without pixels that have no signal.
    """
    rate = _over(none[..., ::-1], none.sum(axis=-1, keepdims=True))
    overlap = _over(share[..., ::-1], np.asarray(regions)[..., None])
    before, start = np.cumsum(rate, axis=-1) - rate, np.cumsum(overlap, axis=-1) - overlap
    inside = np.clip(limit - before, 0, rate)
    with np.errstate(invalid="ignore", divide="ignore"):
        rise = np.where(rate > 0, inside / rate, 0)
    return np.asarray((inside * (start + overlap * rise / 2)).sum(axis=-1) / limit)


def _over(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    below = np.asarray(below, np.float64)
    return np.asarray(np.where(below > 0, above / np.where(below > 0, below, 1), np.nan))


def _limit(limit: float) -> float:
    if not 0 < limit <= 1:
        raise InputError(f"a limit is a false positive rate above 0 and up to 1; received {limit!r}")
    return float(limit)
