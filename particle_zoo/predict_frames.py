"""Regions with light in a user's camera frames, by a model that was trained on pedestals; part of `particle_zoo.predict`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import pandas as pd

from particle_zoo.cli import parse_settings, progress, replacing, table
from particle_zoo.detectors.camera import FORMATS, CameraFrames, Regions, open_frames
from particle_zoo.detectors.camera.regions import REGION_COLUMNS
from particle_zoo.detectors.camera.source import HIGHEST
from particle_zoo.errors import InputError
from particle_zoo.frame_options import RATE
from particle_zoo.pipelines.patch_file import patch_file
from particle_zoo.plots.regions import counts, drawing
from particle_zoo.table_file import appending, check_table

if TYPE_CHECKING:
    from particle_zoo.anomaly import AnomalyDetector

SATURATED = 1e-3
"""Largest share of a frame's pixels at 65535, as for pedestals."""


@dataclass
class Totals:
    """Sums over the frames of a run.

    Args:
        frames: those that were searched.
        regions: in all of them.
        kept: sum of the shares of their area that are in regions.
        saturated: names of those that were left out.
        figures: that were drawn.
    """

    frames: int = 0
    regions: int = 0
    kept: float = 0.0
    saturated: list[str] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)

    def add(self, regions: Regions) -> None:
        """Count a frame."""
        self.frames += 1
        self.regions += len(regions)
        self.kept += float(regions.mask.mean())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready numbers; NaN where no frame was searched."""
        n = self.frames or math.nan
        return {
            "frames": self.frames,
            "regions": self.regions,
            "regions_per_frame": self.regions / n,
            "area_discarded": 1 - self.kept / n,
            "saturated": self.saturated,
            "figures": self.figures,
        }


def predict_frames(
    source: str | Path,
    files: Sequence[str | Path],
    output: Path | None = None,
    *,
    reading: Sequence[str] = (),
    rate: float = RATE,
    figures: Path | None = None,
    most_figures: int = 20,
    redpix: Path | None = None,
    crop: bool = False,
    skip_saturated: bool = False,
    force: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Find the regions of all frames of some files, write their table and print what was found.

    One frame is in memory at a time; nothing is left of files that were begun when one of the frames cannot be read.

    Args:
        source: run folder or published name of a model of task "anomaly".
        files: files of camera frames, or folders of them.
        output: table, .csv or .parquet, one row a region: `source`, `frame` (number in the file) and the columns of
            `particle_zoo.detectors.camera.Regions.table`; regions.csv by default.
        reading: KEY=VALUE, arguments of `particle_zoo.detectors.camera.open_frames`.
        rate: false regions a frame; changing it takes no new training.
        figures: folder for pictures of frames with regions.
        most_figures: number of them.
        redpix: pixel lists to show there.
        crop: write `OUTPUT_patches.h5`: `patches` (n, 100, 100) float32 counts above the pedestal, 0 beyond the border,
            `row` of the table, and `several`, whether a part of another region is on the patch.
        skip_saturated: leave out frames with more than 0.1 % of their pixels at 65535.
        force: replace files that exist.
        quiet: no progress bar.

    Returns:
        The numbers that are printed, JSON-ready.

    Raises:
        InputError: a model without thresholds, a rate it was not calibrated for, files that cannot be read or are of another
            size than its pedestal, a saturated frame, or output that exists.
    """
    from particle_zoo.anomaly import AnomalyDetector

    output = check_table(output or Path("regions.csv"), force=force)
    patches = output.with_name(f"{output.stem}_patches.h5") if crop else None
    if patches is not None and patches.exists() and not force:
        raise InputError(f"{patches} exists; replace it with --force or choose another --output")
    if figures is not None and figures.exists() and any(figures.iterdir()) and not force:
        raise InputError(f"{figures} is not empty; draw into it all the same with --force or choose another --figures")
    if redpix is not None and (figures is None or len(files) > 1):
        raise InputError("--redpix is shown in the figures of one run; give --figures and one file of frames")
    options = _reading(reading)
    runs = [open_frames(file, **options) for file in files]
    detector = AnomalyDetector.load(source)
    threshold = detector.threshold(rate)
    for file, run in zip(files, runs, strict=True):
        _check_size(file, run, detector)
    found = Totals()
    with ExitStack() as stack:
        write = stack.enter_context(appending(stack.enter_context(replacing(output)), "a region"))
        cut = stack.enter_context(patch_file(patches)) if patches is not None else None
        draw = stack.enter_context(drawing(figures, detector, threshold, most_figures, redpix)) if figures else None
        # A table without regions has its columns all the same.
        write(_rows(_no_regions(), "", 0))
        for frame, name, number in progress(_frames(runs), "frames", quiet=quiet):
            if _saturated(frame, name, number, skip=skip_saturated):
                found.saturated.append(f"{name}, frame {number}")
                continue
            regions = detector.regions(frame, rate=rate)
            found.add(regions)
            if not len(regions):
                continue
            write(_rows(regions.table, name, number))
            if cut:
                cut(counts(detector.pedestal, frame), regions.table)
            if draw and (picture := draw(frame, regions, name, number)):
                found.figures.append(str(picture))
    summary = found.to_dict() | {"rate": rate, "threshold": threshold, "output": str(output)}
    if patches is not None:
        summary["patches"] = str(patches)
    _show(summary, detector)
    return summary


def _saturated(frame: np.ndarray, name: str, number: int, *, skip: bool) -> bool:
    if np.count_nonzero(frame == HIGHEST) <= SATURATED * frame.size:
        return False
    if not skip:
        raise InputError(
            f"{name}, frame {number} is saturated, with more than {SATURATED:.1%} of its pixels at 65535; leave such frames "
            f"out with --skip-saturated"
        )
    return True


def _reading(pairs: Sequence[str]) -> dict[str, Any]:
    """Arguments of `open_frames`.

    Raises:
        InputError: one that there is not.
    """
    options = parse_settings(tuple(pairs))
    known = ["transpose", "rotate", *(option for found in FORMATS for option in found.options)]
    unknown = next((name for name in options if name not in known), None)
    if unknown is not None:
        raise InputError(f"--set {unknown}: no format of camera frames has this option; there are {', '.join(known)}")
    if not isinstance(options.get("transpose", False), bool):
        raise InputError(f"--set transpose takes true or false; received {options['transpose']!r}")
    return options


def _check_size(file: str | Path, run: CameraFrames, detector: AnomalyDetector) -> None:
    try:
        detector.pedestal.check(run.shape)
    except InputError as error:
        raise InputError(f"{file}: {error}") from error


def _frames(runs: Sequence[CameraFrames]) -> Iterator[tuple[np.ndarray, str, int]]:
    """Frames with the name of their file and their number in it."""
    for run in runs:
        places = run.table
        yield from zip(run, places["source"], places["frame"].tolist(), strict=True)


def _no_regions() -> pd.DataFrame:
    return pd.DataFrame({name: np.empty(0, dtype) for name, dtype in REGION_COLUMNS.items()})


def _rows(regions: pd.DataFrame, source: str, frame: int) -> pd.DataFrame:
    # An empty column of objects would have no type in parquet.
    place = {"source": pd.Series([source] * len(regions), dtype="string"), "frame": np.full(len(regions), frame)}
    return pd.concat([pd.DataFrame(place), regions], axis=1)


def _show(summary: dict[str, Any], detector: AnomalyDetector) -> None:
    calibrated = detector.calibration.n_frames if detector.calibration else 0
    rows = [
        ("frames", f"{summary['frames']:,}"),
        ("regions", f"{summary['regions']:,}"),
        ("regions a frame", f"{summary['regions_per_frame']:.3g}"),
        ("area discarded", f"{summary['area_discarded']:.2%}"),
        ("threshold", f"{summary['threshold']:.4g}"),
        ("false regions a frame asked for", f"{summary['rate']:g}"),
        ("pedestal frames the threshold rests on", f"{calibrated:,}"),
    ]
    if summary["saturated"]:
        rows.append(("saturated frames left out", f"{len(summary['saturated']):,}"))
    table("regions with light", ("", "value"), rows)
    click.echo(f"table: {summary['output']}")
    if "patches" in summary:
        click.echo(f"patches: {summary['patches']}")
    for path in summary["figures"]:
        click.echo(f"figure: {path}")
