"""A frame, its reconstruction, and what is left of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from particle_zoo.plots import figure
from particle_zoo.plots.regions import Scale, means

if TYPE_CHECKING:
    from particle_zoo.anomaly import AnomalyDetector


def residual_panels(detector: AnomalyDetector, frame: npt.ArrayLike, path: Path, *, title: str) -> None:
    """Draw frame, reconstruction and residual on one colour scale, that of the camera, and the regions on the last.

    Args:
        detector: with thresholds; regions are those of the highest rate.
        frame: (rows, cols) counts.
        path: PNG to write.
        title: of the figure.
    """
    assert detector.calibration is not None
    rate = max(detector.calibration.rates)
    scale = Scale.of(detector.pedestal, detector.threshold(rate))
    regions = detector.regions(frame, rate=rate)
    drawn, left = detector.reconstruct(frame), detector.residual(frame)
    panels = {"frame above pedestal": drawn + left, "reconstruction": drawn, "residual": left}
    rows, cols = detector.pedestal.shape
    with figure(path, 1, 3, figsize=(15, 1.5 + 4.5 * min(rows / cols, 2))) as (canvas, axes):
        canvas.suptitle(title, fontsize=10)
        for axis, (name, image) in zip(axes[0], panels.items(), strict=True):
            points = means(np.where(detector.pedestal.masked, np.float32(0), image), scale.block)
            shown = axis.imshow(
                points, vmin=scale.low, vmax=scale.high, extent=(0, cols, rows, 0), interpolation="nearest"
            )
            axis.set(title=name, xlabel="column (px)", ylabel="row (px)")
        outline = np.pad(means(regions.mask.astype(np.float32), scale.block), 1)
        if outline.any():
            row, col = ((np.arange(n) - 0.5) * scale.block for n in outline.shape)
            axes[0, 2].contour(col, row, outline, levels=[0.5 / scale.block], colors=["tab:red"], linewidths=0.8)
        axes[0, 2].set(
            title=f"residual, {len(regions)} region{'s' * (len(regions) != 1)} at {rate:g} false a frame",
            xlim=(0, cols),
            ylim=(rows, 0),
        )
        bar = canvas.colorbar(shown, ax=axes[0].tolist(), shrink=0.8, extend="both")
        bar.set_label(f"counts, mean of {scale.block} x {scale.block}")
