"""The online trigger of the CYGNO experiment: the baseline that a model has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter, uniform_filter

from particle_zoo.detectors.camera.finder import Finder, is_number
from particle_zoo.detectors.camera.smoothing import correlated
from particle_zoo.detectors.camera.source import size
from particle_zoo.errors import InputError

THRESHOLD = 0.5
"""Of the blurred frame in the experiment's configuration, counts."""


@dataclass(frozen=True, kw_only=True)
class OnlineTrigger(Finder):
    """Pedestal subtraction, removal of sparks, a wide Gaussian, a threshold and a wide margin.

    As in the public program, whose settings are the defaults: a pixel whose 3 x 3 Laplacian (8 times its own value minus its
    eight neighbours) is at or above `spark` is a spark; it and its eight neighbours become 0, and so does what is beyond
    the border. A Gaussian of `blur` px, cut off to a kernel of `kernel` x `kernel` px, follows, and pixels at or above a
    threshold (`THRESHOLD`) are kept with a square margin of `dilation` px. The program ends with that mask; here its
    8-connected components are regions.

    It knows neither the noise of pixels nor which are hot, and takes no common mode out.

    Source: CYGNO-Analysis/Data_reduction, `trigger_cpu` and `trigger_gpu`.

    Args:
        min_area: see `Finder`; 1 in the source.
        dilation: see `Finder`.
        merge: see `Finder`; 0 in the source.
        binning: 1, there is no other.
        spark: Laplacian of a spark, counts.
        blur: sigma of the Gaussian, px.
        kernel: side of its kernel, an odd number of px.

    Raises:
        InputError: a setting that cannot be.
    """

    dilation: int = 20
    spark: float = 400.0
    blur: float = 8.0
    kernel: int = 27

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.binning != 1:
            raise InputError(f"the online trigger looks at single pixels, binning 1; received {self.binning}")
        for name in ("spark", "blur"):
            value = getattr(self, name)
            if not is_number(value) or not value > 0:
                raise InputError(f"{name} must be a number above 0; received {value!r}")
        if isinstance(self.kernel, bool) or not isinstance(self.kernel, int) or self.kernel < 1 or self.kernel % 2 == 0:
            raise InputError(f"kernel must be an odd number of px; received {self.kernel!r}")

    def score(
        self, residual: npt.ArrayLike, sigma: np.ndarray | None = None, veto: np.ndarray | None = None
    ) -> np.ndarray:
        """The blurred frame without sparks.

        Args:
            residual: (rows, cols) counts of the frame minus the mean of the pedestal.
            sigma: not used; all searches have the same arguments.
            veto: (rows, cols) bool, pixels to set to 0; the experiment's trigger has none.

        Returns:
            (rows, cols) float32 counts.

        Raises:
            InputError: another shape, or values that are no numbers.
        """
        image = np.array(residual, np.float32)
        if image.ndim != 2 or not image.size:
            raise InputError(f"a residual has rows and columns; received an array of shape {image.shape}")
        if not np.isfinite(image).all():
            raise InputError("the residual holds values that are no numbers; give the frame minus its pedestal")
        if veto is not None:
            if np.shape(veto) != image.shape:
                raise InputError(f"veto has {size(np.shape(veto))}, the residual {size(image.shape)}")
            image[veto] = 0
        image[self.sparks(image)] = 0
        half = np.arange(self.kernel) - self.kernel // 2
        kernel = np.exp(-0.5 * (half / self.blur) ** 2)
        kernel /= kernel.sum()
        return correlated(image, kernel)

    def sparks(self, residual: np.ndarray) -> np.ndarray:
        """(rows, cols) bool, sparks and their eight neighbours."""
        laplacian = 9 * (residual - uniform_filter(residual, 3, mode="constant"))
        found: np.ndarray = maximum_filter((laplacian >= self.spark).view(np.uint8), 3, mode="constant")
        return found.view(np.bool_)
