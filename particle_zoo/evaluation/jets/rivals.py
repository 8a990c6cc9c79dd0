"""What keeps as few numbers of a jet as an autoencoder, and needs no network.

PCA is fitted on normalised training jets. Of pt, eta, phi and E, the energy is dropped and computed again: of a massless jet,
E = pt cosh(eta), or of one whose mass is the share of pt that suits the training jets best. Of m, pt, phi and eta, the mass is dropped and the
mean of the training jets, in normalised values, takes its place.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from particle_zoo.errors import InputError
from particle_zoo.evaluation.jets.scores import mean_square
from particle_zoo.jets import FOUR_MOMENTUM, MASS_MODE, Jets, energy

Arrays = dict[str, np.ndarray]


def rivals(train: Jets, test: Jets, preprocessor: Any, latent: int) -> Arrays:
    """What each method makes of jets.

    Args:
        train: jets to learn from.
        test: n jets to draw again.
        preprocessor: of the model, fitted; its normalisation is that of the outputs.
        latent: numbers a jet of the model. PCA keeps as many; the others keep 3 and are given where the model does not keep fewer.

    Returns:
        (n, k) float64 normalised outputs, by the name of the method.

    Raises:
        InputError: fewer than 2 training jets, or jets that cannot be normalised.
    """
    columns = preprocessor.columns
    train, test = train.select(columns), test.select(columns)
    seen, true = preprocessor.normalise(train.values), preprocessor.normalise(test.values)
    found = {pca_name(latent, columns, len(seen)): _pca(seen, true, latent)}
    if latent < len(columns) - 1:
        return found
    if columns == FOUR_MOMENTUM:
        found[MASSLESS] = _with_energy(test, preprocessor, 0.0)
        found[FITTED_MASS] = _with_energy(test, preprocessor, mass_share(train))
    if columns == MASS_MODE:
        found[MEAN_MASS] = true.copy()
        found[MEAN_MASS][:, columns.index("m")] = seen[:, columns.index("m")].mean()
    return found


MASSLESS = "drop E, recompute massless"
FITTED_MASS = "drop E, recompute with one m / pt"
MEAN_MASS = "drop m, take the training mean"

KEYS = {MASSLESS: "massless", FITTED_MASS: "one_mass", MEAN_MASS: "mean_mass"}
"""Short names of the methods, for metrics; PCA is pca."""


def pca_name(latent: int, columns: tuple[str, ...], jets: int) -> str:
    """Name of the PCA, with the number of components there are."""
    kept = min(latent, len(columns), jets)
    return f"PCA, {kept} component{'s' * (kept != 1)}"


def pca(train: Jets, test: Jets, preprocessor: Any, latent: int) -> float:
    """Mean square error of a PCA of normalised training jets on test jets.

    Raises:
        InputError: fewer than 2 training jets, no test jets, or jets that cannot be normalised.
    """
    columns = preprocessor.columns
    seen, true = (preprocessor.normalise(jets.select(columns).values) for jets in (train, test))
    return mean_square(true, _pca(seen, true, latent))


def mass_share(jets: Jets) -> float:
    """The one m / pt with which energies that are computed from pt and eta have the least square error, to first order in m^2."""
    pt = jets.column("pt")
    momentum = pt * np.cosh(jets.column("eta"))
    slope = pt**2 / (2 * momentum)
    return float(np.sqrt(max(0.0, np.sum(slope * (jets.column("E") - momentum)) / np.sum(slope**2))))


def massless(test: Jets, preprocessor: Any) -> float:
    """Mean square error where E is dropped and computed as pt cosh(eta).

    Raises:
        InputError: variables without E, or no jets.
    """
    if preprocessor.columns != FOUR_MOMENTUM:
        raise InputError(
            f"only {', '.join(FOUR_MOMENTUM)} have an E to drop; received {', '.join(preprocessor.columns)}"
        )
    test = test.select(FOUR_MOMENTUM)
    return mean_square(preprocessor.normalise(test.values), _with_energy(test, preprocessor, 0.0))


def _pca(seen: np.ndarray, true: np.ndarray, latent: int) -> np.ndarray:
    from sklearn.decomposition import PCA

    if len(seen) < 2:
        raise InputError(f"a PCA needs at least 2 training jets; received {len(seen)}; use a larger data set")
    components = PCA(min(latent, *seen.shape), svd_solver="full").fit(seen)
    return np.asarray(components.inverse_transform(components.transform(true)), np.float64)


def _with_energy(test: Jets, preprocessor: Any, share: float) -> np.ndarray:
    """Normalised jets whose mass is this share of their pt."""
    values = test.values.copy()
    pt = test.column("pt")
    values[:, test.columns.index("E")] = energy(pt, test.column("eta"), share * pt)
    return np.asarray(preprocessor.normalise(values))
