"""Principal components of enlarged cluster images, the linear rival of an autoencoder with as many latent values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.errors import InputError
from particle_zoo.pipelines.balance import flat_probabilities

BATCH = 16
"""Clusters enlarged at a time; 28 MB of 384 px images."""

CLUSTERS = 2000
"""Most training clusters that the components come from: the eigenvalue problem has one row a cluster."""

VALUES = 2**24
"""Most pixels with a value in those; 200 MB."""


def enlarged(model: Any, clusters: Clusters) -> Iterator[tuple[slice, Any, np.ndarray]]:
    """Yield (which clusters, model inputs, (n, size, size, channels) float32 enlarged images), some clusters at a time."""
    for start in range(0, len(clusters), BATCH):
        part = slice(start, min(start + BATCH, len(clusters)))
        inputs = model.preprocess(clusters[part])
        yield part, inputs, np.asarray(model.enlarge(inputs), np.float32)


class ImagePCA:
    """PCA of images that are almost empty, on all pixels and channels an encoder sees.

    Images of 384 px have 442,368 values, more than there are images, so the eigenvectors of the (n, n) matrix of scalar
    products are found instead of those of the covariance (linear kernel PCA, which is the same PCA); images are kept as
    sparse rows and components are never written out.

    Args:
        images: parts of (n, size, size, channels) images.
        components: number of latent values; at most one less than the images, and as many as their rank, are used.

    References:
        Schölkopf, Smola, Müller, Neural Computation 10 (1998) 1299, for the dual problem.
    """

    def __init__(self, images: Iterable[np.ndarray], components: int) -> None:
        from scipy import sparse
        from sklearn.decomposition import KernelPCA

        parts, self.shape = [], (0, 0, 0)
        for part in images:
            self.shape = part.shape[1:]
            parts.append(_sparse(part))
        self._rows = sparse.vstack(parts, format="csr")
        self.clusters = self._rows.shape[0]
        wanted = max(1, min(components, self.clusters - 1))
        self._pca = KernelPCA(wanted, kernel="linear", eigen_solver="dense", remove_zero_eig=True).fit(self._rows)
        # A component is this mixture of the training images.
        self._mixture = (self._pca.eigenvectors_ / np.sqrt(self._pca.eigenvalues_)).T
        self._mean = np.asarray(self._rows.mean(axis=0)).ravel()

    @classmethod
    def of(cls, model: Any, clusters: Clusters, components: int, *, seed: int = 0) -> ImagePCA:
        """Components of a random part of training clusters: at most `CLUSTERS` of them, and `VALUES` pixels.

        Sizes are drawn flat, as the autoencoders draw theirs: most clusters are small, and large ones vary most.

        Args:
            model: with `preprocess` and `enlarge`.
            clusters: training clusters, at least 2.
            components: as in the constructor.
            seed: of the choice.

        Raises:
            InputError: fewer than 2 training clusters.
        """
        if len(clusters) < 2:
            raise InputError(
                f"a PCA needs at least 2 training clusters; received {len(clusters)}; use a larger data set"
            )
        number, weights = min(CLUSTERS, len(clusters)), flat_probabilities(clusters.sizes)
        chosen = np.random.default_rng(seed).choice(len(clusters), number, replace=False, p=weights)

        def some() -> Iterator[np.ndarray]:
            values = 0
            for _, _, images in enlarged(model, clusters[chosen]):
                values += int(np.count_nonzero(images))
                if values > VALUES:
                    return
                yield images

        return cls(some(), components)

    @property
    def components(self) -> int:
        """Number of latent values."""
        return len(self._mixture)

    def encode(self, images: np.ndarray) -> np.ndarray:
        """(n, components) float64 latent values of (n, size, size, channels) images."""
        return np.asarray(self._pca.transform(_sparse(images)))

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """(n, size, size, channels) float32: the images as far as the components know them."""
        weights = self.encode(images) @ self._mixture
        # The rows that are mixed are not centred, which their mean makes good.
        flat = weights @ self._rows + (1 - weights.sum(axis=1, keepdims=True)) * self._mean
        return np.asarray(flat, np.float32).reshape(len(images), *self.shape)


def _sparse(images: np.ndarray) -> Any:
    from scipy import sparse

    return sparse.csr_array(images.reshape(len(images), -1).astype(np.float64))
