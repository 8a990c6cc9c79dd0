"""Thresholds from frames without light, at a rate of false regions that is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from particle_zoo.cli import read_json, sentence, write_json
from particle_zoo.detectors.camera.area_opening import opened, steps
from particle_zoo.detectors.camera.finder import Finder, is_number
from particle_zoo.errors import InputError

VERSION = 1
"""Of the file format of `Calibration.save`."""

DEPTH, AT_LEAST = 0.01, 4096
"""Share of a frame's scores, the highest, in which false regions are counted, and their number where that is more."""

FEWEST = 5
"""Regions, in all frames together, that a rate rests on: 5 are 1.6 to 11.7 at 95 % (Poisson)."""

REACH = 10.0
"""Times the largest rate asked for down to which thresholds are kept."""

OFTEN = 50
"""Frames after which what is not needed any more is dropped."""


class TooFewRegionsError(InputError):
    """Frames that have no threshold with as many regions as are asked for."""


@dataclass(frozen=True, eq=False, repr=False)
class Calibration:
    """How many false regions there are at every threshold; changing the rate takes no frames.

    Args:
        finder: kind and settings of the finder whose scores were counted.
        levels: (m,) float32, not ascending: with thresholds above `levels[k]` there are at most k regions in all frames
            together, at `levels[k]` itself there are more.
        floor: nothing is known about thresholds up to this.
        n_frames: number of frames.
        rates: regions a frame that were asked for.

    Raises:
        InputError: parts that contradict each other.
    """

    finder: dict[str, Any]
    levels: np.ndarray
    floor: float
    n_frames: int
    rates: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        with np.errstate(over="ignore"):
            levels: np.ndarray = np.array(self.levels, np.float32)
        if levels.ndim != 1 or not np.isfinite(levels).all() or (np.diff(levels) > 0).any():
            raise InputError("levels of a calibration must be numbers that do not rise; calibrate again")
        if isinstance(self.n_frames, bool) or not isinstance(self.n_frames, int) or self.n_frames < 1:
            raise InputError(f"a calibration needs one frame or more; received {self.n_frames!r}")
        if not is_number(self.floor) or (len(levels) and float(levels[-1]) <= self.floor):
            raise InputError(f"the floor of a calibration must be below its levels; received {self.floor!r}")
        if not isinstance(self.finder, dict) or not all(is_number(rate) and rate > 0 for rate in self.rates):
            raise InputError("a calibration has the settings of a finder and rates above 0; calibrate again")
        levels.flags.writeable = False
        object.__setattr__(self, "levels", levels)
        object.__setattr__(self, "rates", tuple(float(rate) for rate in self.rates))

    def __repr__(self) -> str:
        return f"Calibration({self.n_frames} frames, up to {len(self.levels) / self.n_frames:.3g} regions a frame)"

    def threshold(self, rate: float) -> float:
        """The lowest threshold from which on the frames have at most this many regions each, on average.

        It is one of `n_frames` frames: with R regions in all of them, the rate of other frames is within about 1 / sqrt(R).

        Args:
            rate: regions a frame.

        Returns:
            A float32 number, in units of the score.

        Raises:
            InputError: a rate that takes more frames, or one beyond what was counted.
        """
        allowed = _allowed(rate, self.n_frames)
        if allowed >= len(self.levels):
            raise InputError(
                f"thresholds were calibrated down to {len(self.levels) / self.n_frames:.3g} regions a frame, {rate:g} are more; "
                f"ask for fewer, or calibrate with this rate"
            )
        return float(np.nextafter(self.levels[allowed], np.float32(np.inf)))

    def rate(self, threshold: float) -> float:
        """Mean number of regions a frame at a threshold, or at a higher one where that has more.

        Raises:
            InputError: a threshold that is no number, or not above the floor.
        """
        if not is_number(threshold) or not threshold > self.floor:
            raise InputError(f"regions were counted above a score of {self.floor:g}; received {threshold!r}")
        return int(np.count_nonzero(self.levels >= np.float32(threshold))) / self.n_frames

    @property
    def thresholds(self) -> dict[float, float]:
        """Threshold of each rate that was asked for."""
        return {rate: self.threshold(rate) for rate in self.rates}

    def check(self, finder: Finder) -> None:
        """Check that thresholds belong to a finder.

        Raises:
            InputError: names a setting that differs.
        """
        own = describe(finder)
        for name in sorted({*own, *self.finder}):
            if own.get(name) != self.finder.get(name):
                raise InputError(
                    f"thresholds were calibrated with {name} = {self.finder.get(name)!r}, the finder has {own.get(name)!r}; "
                    f"calibrate again"
                )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        return {
            "version": VERSION,
            "finder": dict(self.finder),
            "n_frames": self.n_frames,
            "rates": list(self.rates),
            "floor": float(self.floor),
            "levels": [float(level) for level in self.levels],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Calibration:
        """The inverse of `to_dict`.

        Raises:
            InputError: another version, or fields that are missing or cannot be.
        """
        if values.get("version") != VERSION:
            raise InputError(
                f"a calibration of version {values.get('version')!r}, this library reads {VERSION}; calibrate again"
            )
        try:
            return cls(
                values["finder"],
                np.array(values["levels"], np.float64),
                values["floor"],
                values["n_frames"],
                tuple(values["rates"]),
            )
        except InputError:
            raise
        except KeyError as error:
            raise InputError(f"a calibration of regions has {error}, this one has not; calibrate again") from error
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"no calibration of regions ({sentence(str(error))}); calibrate again") from error

    def save(self, path: str | Path) -> Path:
        """Write JSON, through a temporary file."""
        path = Path(path)
        write_json(path, self.to_dict())
        return path

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """Read what `save` wrote.

        Raises:
            InputError: missing, damaged, or of another version.
        """
        values = read_json(Path(path), what="calibration")
        try:
            return cls.from_dict(values)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error


def calibrate(finder: Finder, scores: Iterable[npt.ArrayLike], rates: Sequence[float]) -> Calibration:
    """Count the regions of frames without light at all thresholds.

    Exact: the number of regions that `finder.regions` has in these frames, at every threshold above the floor, the highest
    of the frames' levels that 1 % of their scores (or 4096) exceed; components that are too small, widened ones that run into
    each other and merged ones are counted as there. Statistical: how far these frames stand for others; that the rate of other
    frames is at most the one asked for holds on average only. Where the level of a camera drifts and is not taken out of the
    residual, the rate drifts with it, however many frames there are: a shift of 0.3 counts is more than what smoothing leaves
    of the noise.

    A frame leaves the levels at which its number of regions changes, a few kilobytes, and of those only the ones down to ten
    times the largest rate are kept.

    Args:
        finder: the finder, with the settings it will have.
        scores: maps of `finder.score`, of held-out pedestal frames that nothing was fitted to; each is taken once.
        rates: mean numbers of regions a frame to be asked for later, such as (0.1, 1).

    Raises:
        InputError: no frame, too few for a rate, maps of different shapes, or NaN.
        TooFewRegionsError: scores without as many regions.
    """
    if isinstance(rates, (str, bytes)) or not len(rates) or not all(is_number(rate) and rate > 0 for rate in rates):
        raise InputError(f"rates must be regions a frame, numbers above 0; received {rates!r}")
    shape, n, floor = None, 0, -np.inf
    parts = [(np.empty(0, np.float32), np.empty(0, np.int64))]
    for n, given in enumerate(scores, 1):
        score = np.ascontiguousarray(given, np.float32)
        if score.ndim != 2 or not score.size or (shape is not None and score.shape != shape):
            raise InputError(f"scores are maps of one shape, {shape or 'rows and columns'}; received {score.shape}")
        if not np.isfinite(score).all():
            raise InputError(f"the scores of frame {n - 1} hold values that are no numbers; leave the frame out")
        shape, share = score.shape, min(max(DEPTH, AT_LEAST / score.size), 1.0)
        score, low = opened(score, finder.min_blocks, share)
        levels, counts, lowest = steps(score, finder.link, share)
        floor = max(floor, low, lowest)
        parts.append((levels, np.diff(counts, prepend=0)))
        if n % OFTEN == 0:
            kept, floor = _kept(parts, floor, REACH * max(rates) * n)
            parts = [kept]
    if not n:
        raise InputError("nothing to calibrate with: received no frame")
    for rate in rates:
        _allowed(rate, n)
    (levels, changes), floor = _kept(parts, floor, REACH * max(rates) * n)
    most = np.maximum.accumulate(np.cumsum(changes)) if len(changes) else changes
    last = int(most[-1]) if len(most) else 0
    records = levels[np.searchsorted(most, np.arange(last), side="right")]
    if not np.isfinite(floor):
        floor = float(np.nextafter(records[-1], np.float32(-np.inf))) if last else 0.0
    if _allowed(max(rates), n) >= last:
        raise TooFewRegionsError(
            f"these frames have {last / n:.3g} regions each at any threshold that was looked at, {max(rates):g} are more; "
            f"ask for fewer, or widen and merge less"
        )
    return Calibration(describe(finder), records, float(floor), n, tuple(rates))


def describe(finder: Finder) -> dict[str, Any]:
    """Kind and settings of a finder."""
    return {"kind": type(finder).__name__, **finder.to_dict()}


def _allowed(rate: float, n_frames: int) -> int:
    if not is_number(rate) or not rate > 0:
        raise InputError(f"a rate is a number of regions a frame above 0; received {rate!r}")
    # 0.1 x 50 must not be 4.
    allowed = int(rate * n_frames + 1e-9)
    if allowed < FEWEST:
        raise InputError(
            f"a rate of {rate:g} regions a frame takes {int(np.ceil(FEWEST / rate - 1e-9))} frames, for {FEWEST} regions to "
            f"rest on; received {n_frames}"
        )
    return allowed


def _kept(
    parts: list[tuple[np.ndarray, np.ndarray]], floor: float, most: float
) -> tuple[tuple[np.ndarray, np.ndarray], float]:
    """Changes of the number of regions of all frames, one a level, from the highest downwards, until it is above `most`."""
    levels, changes = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    inside = levels > floor
    levels, owner = np.unique(-levels[inside], return_inverse=True)
    levels, changes = -levels, np.bincount(owner, changes[inside], len(levels)).astype(np.int64)
    stop = int(np.argmax(np.cumsum(changes) > most)) + 1 if (np.cumsum(changes) > most).any() else len(levels)
    if stop < len(levels):
        floor = float(levels[stop])
    return (levels[:stop], changes[:stop]), floor
