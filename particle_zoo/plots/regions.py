"""Camera frames with regions of interest, all of a data set on one colour scale."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from particle_zoo.plots import figure

if TYPE_CHECKING:
    from particle_zoo.anomaly import AnomalyDetector
    from particle_zoo.detectors.camera import PedestalModel, RedPixels, Regions

LONGEST = 800
"""Points of a picture's longer side; larger frames are averaged over blocks of pixels."""

NOISE = (-3.0, 12.0)
"""Ends of the colour scale of the counts, in widths of the noise of a point."""

COLOURS = ("tab:cyan", "tab:green")
"""Of the outlines of further masks; regions are red."""


@dataclass(frozen=True)
class Scale:
    """The colours of a data set: they follow from its pedestal and threshold, never from the frame that is drawn.

    Args:
        block: side of the blocks of pixels that are averaged to one point.
        low: counts of the darkest colour.
        high: counts of the brightest colour.
        threshold: of the score, whose colours reach from 0 to twice this.
    """

    block: int
    low: float
    high: float
    threshold: float

    @classmethod
    def of(cls, pedestal: PedestalModel, threshold: float) -> Scale:
        """The scale of all frames of a camera."""
        block = -(-max(pedestal.shape) // LONGEST)
        noise = pedestal.noise / block
        return cls(block, NOISE[0] * noise, NOISE[1] * noise, threshold)


def frame_with_regions(
    path: Path,
    image: np.ndarray,
    regions: Regions,
    scale: Scale,
    *,
    title: str,
    score: np.ndarray | None = None,
    masks: dict[str, np.ndarray] | None = None,
) -> None:
    """Draw a frame with its regions, and its score, side by side.

    Args:
        path: PNG to write.
        image: (rows, cols) counts above the pedestal.
        regions: of the frame; outlined in red, their boxes dotted with the row of the table.
        scale: of the data set.
        title: of the figure.
        score: map of scores, of pixels or blocks of them.
        masks: (rows, cols) bool by name, outlined, too.
    """
    rows, cols = image.shape
    panels = 1 if score is None else 2
    size = (1.5 + 6.5 * panels, 1.2 + 5.5 * min(rows / cols, 2))
    with figure(path, 1, panels, figsize=size) as (canvas, axes):
        canvas.suptitle(title, fontsize=10)
        _picture(canvas, axes[0, 0], image, (rows, cols), scale.block, (scale.low, scale.high), "counts")
        if score is not None:
            step = max(1, -(-max(score.shape) // LONGEST))
            _picture(canvas, axes[0, 1], score, (rows, cols), step, (0, 2 * scale.threshold), "score")
            axes[0, 1].set_title(f"threshold {scale.threshold:.3g}", fontsize=8)
        outlines = {"regions": (regions.mask, "tab:red")}
        outlines |= {name: (mask, colour) for (name, mask), colour in zip((masks or {}).items(), COLOURS, strict=False)}
        for axis in axes.flat:
            for mask, colour in outlines.values():
                _outline(axis, mask, scale.block, colour)
            axis.set(xlim=(0, cols), ylim=(rows, 0))
        _boxes(axes[0, 0], regions.table)
        lines = [axes[0, 0].plot([], [], color=colour, label=name)[0] for name, (_, colour) in outlines.items()]
        axes[0, 0].legend(handles=lines, loc="upper right", fontsize=7)


@contextmanager
def drawing(
    folder: Path, detector: AnomalyDetector, threshold: float, most: int, redpix: Path | None = None
) -> Iterator[Callable[[np.ndarray, Regions, str, int], Path | None]]:
    """Yield a function that draws a frame with its regions, given the name of its file and its number there.

    It returns where the picture will be, None if it is not drawn. Pictures are moved into the folder once the block ends well.

    Args:
        folder: of the figures.
        detector: that found the regions.
        threshold: of the regions.
        most: number of frames; further ones are not drawn.
        redpix: ROOT file with pixel lists to outline; the numbers of its events are those of the frames.

    Raises:
        InputError: pixel lists that cannot be read, or do not fit the frames.
    """
    from particle_zoo.detectors.camera import read_redpix

    listed = None if redpix is None else read_redpix(redpix)
    scale = Scale.of(detector.pedestal, threshold)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as kept:
        drawn: list[Path] = []

        def draw(frame: np.ndarray, regions: Regions, name: str, number: int) -> Path | None:
            if len(drawn) == most:
                return None
            path = Path(kept) / f"{len(drawn):03d}_{Path(name).stem}_frame{number}.png"
            frame_with_regions(
                path,
                counts(detector.pedestal, frame),
                regions,
                scale,
                score=detector.score(frame),
                masks={} if listed is None else {"redpix": _redpix(listed, number, frame.shape)},
                title=f"{name}, frame {number}: {len(regions)} region{'s' * (len(regions) > 1)}",
            )
            drawn.append(path)
            return folder / path.name

        yield draw
        folder.mkdir(exist_ok=True)
        for path in drawn:
            shutil.move(path, folder / path.name)


def counts(pedestal: PedestalModel, frame: np.ndarray) -> np.ndarray:
    """(rows, cols) float32 counts above the pedestal, 0 where a pixel is hot or has telegraph noise."""
    image = pedestal.subtract(frame)
    image[pedestal.masked] = 0
    return image


def _redpix(listed: RedPixels, number: int, shape: tuple[int, ...]) -> np.ndarray:
    """(rows, cols) bool, the pixels listed of a frame; none where the list does not have it."""
    found = np.flatnonzero(listed.table["frame"].to_numpy() == number)
    if not len(found):
        return np.zeros(shape, np.bool_)
    mask: np.ndarray = listed[found[:1]].rasterise(shape)[0][0]
    return mask


def means(image: np.ndarray, side: int) -> np.ndarray:
    """Means of blocks; those at the far borders are of the pixels there are."""
    if side == 1:
        return image
    rows, cols = (-(-n // side) for n in image.shape)
    wide = ((0, rows * side - image.shape[0]), (0, cols * side - image.shape[1]))
    blocks = (
        np.pad(values, wide).reshape(rows, side, cols, side).sum((1, 3)) for values in (image, np.ones(image.shape))
    )
    found: np.ndarray = np.divide(*blocks)
    return found


def _picture(
    canvas: Any,
    axis: Any,
    image: np.ndarray,
    shape: tuple[int, int],
    block: int,
    limits: tuple[float, float],
    label: str,
) -> None:
    """Row 0 on top, as frames are stored; axes in pixels of the frame."""
    points = means(np.asarray(image, np.float32), block)
    shown = axis.imshow(
        points,
        vmin=limits[0],
        vmax=limits[1],
        cmap="viridis",
        extent=(0, shape[1], shape[0], 0),
        interpolation="nearest",
    )
    axis.set_xlabel("column (px)", fontsize=8)
    axis.set_ylabel("row (px)", fontsize=8)
    axis.tick_params(labelsize=7)
    bar = canvas.colorbar(shown, ax=axis, shrink=0.8, extend="both")
    bar.set_label(label if block == 1 else f"{label}, mean of {block} x {block}", fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _outline(axis: Any, mask: np.ndarray, block: int, colour: str) -> None:
    # A line needs both kinds of points, and one beyond the border to close around what touches it.
    points = np.pad(means(mask.astype(np.float32), block), 1)
    if points.any():
        row, col = ((np.arange(n) - 0.5) * block for n in points.shape)
        axis.contour(col, row, points, levels=[0.5 / block], colors=[colour], linewidths=0.8)


def _boxes(axis: Any, table: pd.DataFrame) -> None:
    from matplotlib.patches import Rectangle

    for number, (row0, row1, col0, col1) in enumerate(table[["row0", "row1", "col0", "col1"]].to_numpy()):
        box = Rectangle(
            (col0, row0), col1 - col0, row1 - row0, fill=False, color="tab:red", linestyle=":", linewidth=0.6
        )
        axis.add_patch(box)
        axis.annotate(str(number), (col0, row0), color="white", fontsize=7, va="bottom")
