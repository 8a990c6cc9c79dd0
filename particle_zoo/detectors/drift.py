"""Depth in the sensor from the drift time of the charge.

In the linear field of an overdepleted sensor, holes from depth z arrive after
dt = -d^2 / (2 UD mu) ln(1 - 2 UD z / (d (UB + UD))), so that z = d (UB + UD) / (2 UD) (1 - exp(-2 UD mu dt / d^2)).
A particle that crosses the sensor leaves its first hit at the pixels and its last a full drift later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from particle_zoo.clusters import Clusters
from particle_zoo.errors import InputError

if TYPE_CHECKING:
    from particle_zoo.simulation.sensor import SensorConfig


def depth_um(
    drift_ns: npt.ArrayLike, *, thickness_um: float, bias_v: float, depletion_v: float, mobility: float
) -> np.ndarray:
    """Distance from the pixels (um, float64) a drift time belongs to, clipped to 0..thickness.

    Args:
        drift_ns: time since the charge began to drift.
        thickness_um: of the sensor.
        bias_v: bias voltage UB.
        depletion_v: voltage of full depletion UD.
        mobility: of the collected carrier, cm2/Vs.
    """
    for name, value in (("thickness_um", thickness_um), ("depletion_v", depletion_v), ("mobility", mobility)):
        if not value > 0:
            raise InputError(f"{name} must be positive; received {value!r}")
    scale = thickness_um * (bias_v + depletion_v) / (2 * depletion_v)
    # 1 um2 / (V cm2/Vs) = 10 ns
    rate = 2 * depletion_v * mobility / (10 * thickness_um**2)
    return np.clip(scale * -np.expm1(-np.asarray(drift_ns, np.float64) * rate), 0, thickness_um)


def depths(clusters: Clusters, sensor: str | SensorConfig = "timepix3_500um", *, to_full: bool = False) -> np.ndarray:
    """Depth of every hit, from its time after the first hit of its cluster.

    Args:
        clusters: with times.
        sensor: preset or configuration; its thickness, bias, depletion voltage and mobility.
        to_full: stretch the times of each cluster so that its last hit has drifted through the whole sensor. Better for
            particles known to cross it, because the real drift is a little slower than this model; of others it makes
            nonsense.

    Returns:
        (n_hits,) um from the pixels.

    Raises:
        InputError: clusters without times.
    """
    from particle_zoo.simulation.sensor import preset

    if "toa" not in clusters.columns:
        raise InputError("depth needs the time of every hit; these clusters have none")
    config = preset(sensor)
    if not len(clusters):
        return np.empty(0)
    toa, cluster = clusters.column("toa"), clusters.hit_cluster
    after = toa - np.minimum.reduceat(toa, clusters.offsets[:-1])[cluster]
    if to_full:
        last = np.maximum.reduceat(after, clusters.offsets[:-1])[cluster]
        full = config.drift_ns(np.array(config.thickness_um))
        after = np.where(last > 0, after / np.where(last > 0, last, 1.0) * full, 0.0)
    return config.depth_um(after)
