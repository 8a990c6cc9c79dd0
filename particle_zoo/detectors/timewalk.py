"""Time-walk: small signals cross the threshold late, by a delay that falls with the signal."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from particle_zoo.detectors.hits import STEP_NS, Hits
from particle_zoo.errors import InputError

TICK_NS = 25.0
"""Step of the ToT."""


@dataclass(frozen=True)
class TimeWalk:
    """The delay of a hit.

    `exponential`: b exp(c ToT_ns), of the ToT in ns (tpx3awkward; its values are the defaults). `power`:
    c / (E - t)^d + constant, of the energy in keV.

    Args:
        form: exponential or power.
        b: ns.
        c: 1/ns (exponential) or ns keV^d (power).
        t: keV.
        d: exponent.
        constant: ns.

    Raises:
        InputError: another form, or numbers that do not make a falling delay.
    """

    form: str = "exponential"
    b: float = 167.0
    c: float = -0.016
    t: float = 0.0
    d: float = 1.0
    constant: float = 0.0

    def __post_init__(self) -> None:
        if self.form not in ("exponential", "power"):
            raise InputError(f"a time-walk is exponential or power; received {self.form!r}")
        if not all(math.isfinite(value) for value in (self.b, self.c, self.t, self.d, self.constant)):
            raise InputError(f"a time-walk is made of finite numbers; received {self!r}")
        if self.form == "exponential" and (self.c > 0 or self.b < 0):
            raise InputError(f"the delay must fall with the ToT: b >= 0, c <= 0; received b={self.b:g}, c={self.c:g}")
        if self.form == "power" and (self.c < 0 or self.d <= 0):
            raise InputError(f"the delay must fall with the energy: c >= 0, d > 0; received c={self.c:g}, d={self.d:g}")

    def delay_ns(self, signal: npt.ArrayLike) -> np.ndarray:
        """Delay (ns, float64) of signals: ToT counts (exponential), or keV (power; NaN at and below t)."""
        signal = np.asarray(signal, np.float64)
        if self.form == "exponential":
            return self.b * np.exp(self.c * TICK_NS * signal)
        above = signal > self.t
        return np.where(above, self.c / np.where(above, signal - self.t, 1.0) ** self.d + self.constant, np.nan)

    def correct(self, hits: Hits) -> Hits:
        """Hits as early as they arrived, to the nearest step of 1.5625 ns.

        Raises:
            InputError: hits in the wrong unit (ToT for exponential, keV for power), or at and below t.
        """
        unit = "ToT" if self.form == "exponential" else "keV"
        if hits.unit != unit:
            raise InputError(f"the {self.form} time-walk is a function of {unit}; received hits in {hits.unit}")
        delay = self.delay_ns(hits.energy)
        if np.isnan(delay).any():
            raise InputError(
                f"a hit has {hits.energy[int(np.isnan(delay).argmax())]:g} keV, and the delay has a pole at {self.t:g} keV; "
                "lower t or leave such hits out"
            )
        return replace(hits, toa=hits.toa - np.rint(delay / STEP_NS).astype(np.int64))
