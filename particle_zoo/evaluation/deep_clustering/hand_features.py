"""Five numbers of a patch that one would cut on without a network, and clusterings of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

FEATURES = ("integral", "pixels", "delta", "slimness", "length")

SMOOTHING = 2.0
"""Sigma of the Gaussian before the threshold, px."""

THRESHOLD = 0.6
"""In widths of the noise of a pixel; white noise is 0.14 of them after smoothing, so a pixel of it is above with a chance
of 1 in 50,000."""

FEWEST = 30
"""Pixels of an object; a single bright pixel is as large after smoothing."""


def hand_features(images: np.ndarray, noise: float) -> pd.DataFrame:
    """Integral, pixels, light density, slimness and length of the brightest object of every patch.

    The object is the connected part of the smoothed patch above a threshold (8 neighbours) with the largest integral. Light density
    delta and slimness are those of the CYGNO group (CYGNUS-RD/paper-ambe), with lengths from second moments instead of fits.

    Args:
        images: (n, size, size) counts above the pedestal.
        noise: width of the noise of a pixel, counts.

    Returns:
        n rows: `integral` (counts), `pixels`, `delta` (counts a pixel), `slimness` (width over length) and `length` (four
        standard deviations along the principal axis, px). All are 0 of a patch without object.
    """
    from scipy.ndimage import gaussian_filter, label

    rows = np.zeros((len(images), len(FEATURES)))
    for row, image in zip(rows, images, strict=True):
        parts, n = label(gaussian_filter(image, SMOOTHING) > THRESHOLD * noise, np.ones((3, 3)))
        if n:
            light = np.bincount(parts.ravel(), image.ravel(), n + 1)
            inside = parts == 1 + int(light[1:].argmax())
            if np.count_nonzero(inside) >= FEWEST:
                row[:] = _object(inside, image[inside])
    return pd.DataFrame(rows, columns=list(FEATURES))


def _object(inside: np.ndarray, counts: np.ndarray) -> tuple[float, ...]:
    pixels, integral = len(counts), float(counts.sum())
    weight = np.maximum(counts, 0).astype(np.float64)
    if weight.sum() <= 0:
        return 0.0, 0.0, 0.0, 0.0, 0.0
    place = np.argwhere(inside)
    centred = place - np.average(place, axis=0, weights=weight)
    # A pixel is 1/12 px^2 wide.
    narrow, wide = np.linalg.eigvalsh((centred * weight[:, None]).T @ centred / weight.sum() + np.eye(2) / 12)
    return integral, float(pixels), integral / pixels, float(np.sqrt(narrow / wide)), float(4 * np.sqrt(wide))


def standardised(features: pd.DataFrame) -> np.ndarray:
    """(n, 5) features with mean 0 and width 1, all but the slimness as ln(1 + x) of what is above 0."""
    from sklearn.preprocessing import StandardScaler

    values = features.to_numpy(np.float64, copy=True)
    logs = [i for i, name in enumerate(features.columns) if name != "slimness"]
    values[:, logs] = np.log1p(np.maximum(values[:, logs], 0))
    scaled: np.ndarray = StandardScaler().fit_transform(values)
    return scaled


def cluster(features: pd.DataFrame, k: int, seed: int) -> dict[str, np.ndarray]:
    """(n,) labels of k-means and of a mixture of Gaussians, both with 20 starts, by the name of the method."""
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits

    from particle_zoo.training.cluster_stages import kmeans

    values = standardised(features)
    with threadpool_limits(1):
        # Patches without an object are all alike: without a floor their Gaussian would have no width.
        mixture = GaussianMixture(k, n_init=20, random_state=seed, reg_covar=1e-3).fit_predict(values)
    return {"k-means, 5 features": kmeans(values, k, 20, seed).labels_, "Gaussians, 5 features": mixture}
