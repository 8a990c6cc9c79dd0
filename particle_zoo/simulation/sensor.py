"""A sensor and its readout: every constant of the silicon simulation in one frozen record."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from particle_zoo.detectors.calibration import Surrogate
from particle_zoo.detectors.drift import depth_um
from particle_zoo.errors import InputError

BOLTZMANN_EV = 8.617333e-5
PERMITTIVITY = 11.7 * 8.8541878e-12
"""Of silicon, F/m."""
ELECTRON_CHARGE = 1.602177e-19

READOUTS = ("tot", "toa", "tot+toa", "adu")
CHIPS = ("timepix", "timepix3", "ccd")
TYPICAL = Surrogate()


@dataclass(frozen=True)
class SensorConfig:
    """A silicon sensor, the charge transport in it, and the electronics behind it.

    Distances z are counted from the pixels: 0 at the pixel side, `thickness_um` at the face particles enter.

    Args:
        chip: timepix, timepix3 or ccd.
        readout: "tot" or "toa" (Timepix: one of them), "tot+toa" (Timepix3), "adu" (CCD).
        thickness_um: depleted thickness, 10-5000 um.
        pitch_um: side of the square pixels, 1-1000 um.
        shape: rows and columns.
        bias_v: bias voltage; at least `depletion_v`.
        depletion_v: voltage of full depletion.
        temperature_k: of the sensor, 50-400 K.
        mobility: of the collected carrier, cm2/Vs.
        carrier: "holes" or "electrons"; what is collected.
        pair_ev: energy an electron-hole pair, eV.
        fano: Fano factor.
        threshold_kev: a pixel is read out from this energy on.
        noise_kev: electronic noise of a pixel, RMS.
        gain_spread: relative RMS of a pixel's gain.
        calibration: between keV and ToT, the same for all pixels; `gain_spread` is what it leaves.
        tot_bits: width of the ToT counter.
        toa_bin_ns: time bin of the ToA.
        timewalk: b (ns) and c (1/ns) of the delay b exp(c ToT) of small signals.
        saturation: switch on volcano, front-end saturation and counter overflow.
        volcano_kev: where the reading starts to overshoot, and where the front end saturates.
        volcano_gain: overshoot of the reading at the upper end of this interval.
        repulsion: scale of the radius a cloud reaches by its own repulsion; 0 switches it off.
        halo: share of a dense cloud's charge in its wide tail, and width of the tail in widths of the core.
        gain_adu_per_kev: ADU a keV (CCD).
        pedestal_adu: ADU without signal (CCD).
        min_size: smallest cluster, px.

    Raises:
        InputError: a value without physical meaning.
    """

    chip: str = "timepix"
    readout: str = "tot"
    thickness_um: float = 300.0
    pitch_um: float = 55.0
    shape: tuple[int, int] = (256, 256)
    bias_v: float = 155.0
    depletion_v: float = 36.0
    temperature_k: float = 300.0
    mobility: float = 480.0
    carrier: str = "holes"
    pair_ev: float = 3.64
    fano: float = 0.115
    threshold_kev: float = 5.0
    noise_kev: float = 0.5
    gain_spread: float = 0.02
    calibration: Surrogate = TYPICAL
    tot_bits: int = 14
    toa_bin_ns: float = 25.0
    timewalk: tuple[float, float] = (167.0, -0.016)
    saturation: bool = False
    volcano_kev: tuple[float, float] = (1000.0, 2000.0)
    volcano_gain: float = 0.5
    repulsion: float = 0.95
    halo: tuple[float, float] = (0.1, 2.0)
    gain_adu_per_kev: float = 1.0
    pedestal_adu: float = 0.0
    min_size: int = 1

    def __post_init__(self) -> None:
        if self.chip not in CHIPS:
            raise InputError(f"chip must be one of {', '.join(CHIPS)}; received {self.chip!r}")
        allowed = {"timepix": ("tot", "toa"), "timepix3": ("tot+toa",), "ccd": ("adu",)}[self.chip]
        if self.readout not in allowed:
            raise InputError(f"a {self.chip} pixel reads out {' or '.join(allowed)}; received readout={self.readout!r}")
        if self.carrier not in ("holes", "electrons"):
            raise InputError(f"carrier must be holes or electrons; received {self.carrier!r}")
        for name, low, high in _LIMITS:
            value = getattr(self, name)
            if not (is_number(value) and low <= value <= high):
                raise InputError(f"{name} must lie in {low:g}..{high:g}; received {value!r}")
            if name in _WHOLE and not isinstance(value, (int, np.integer)):
                raise InputError(f"{name} must be a whole number; received {value!r}")
        self._check_types()
        if not all(isinstance(side, (int, np.integer)) and 0 < side <= 2**15 for side in self.shape):
            raise InputError(f"shape must be 1..32768 rows and columns, whole numbers; received {self.shape}")
        if not 0 <= self.volcano_kev[0] < self.volcano_kev[1]:
            raise InputError(f"volcano_kev must be two ascending energies, 0 keV or more; received {self.volcano_kev}")
        if self.timewalk[0] < 0 or self.timewalk[1] > 0:
            raise InputError(
                f"timewalk must be a delay of 0 ns or more and a decay of 0 or less; received {self.timewalk}"
            )
        if not (0 <= self.halo[0] < 1 and 0 < self.halo[1] <= 10):
            raise InputError(f"halo must be a share of 0..1 and a width above 0, 10 at most; received {self.halo}")
        if self.bias_v < self.depletion_v:
            raise InputError(
                f"bias_v must reach depletion_v ({self.depletion_v:g} V), the sensor is simulated fully depleted; "
                f"received {self.bias_v:g} V"
            )
        if self.chip != "ccd" and self.calibration.t >= self.threshold_kev:
            raise InputError(
                f"the calibration's t must lie below the threshold of {self.threshold_kev:g} keV; "
                f"received t={self.calibration.t:g} keV"
            )

    def _check_types(self) -> None:
        for name, first, second in _PAIRS:
            value = getattr(self, name)
            if not (isinstance(value, tuple) and len(value) == 2 and all(map(is_number, value))):
                raise InputError(f"{name} must be two numbers, {first} and {second}; received {value!r}")
        if not isinstance(self.saturation, (bool, np.bool_)):
            raise InputError(f"saturation must be true or false; received {self.saturation!r}")
        if not isinstance(self.calibration, Surrogate):
            raise InputError(
                f"calibration must be a Surrogate, which only Python can pass; received {self.calibration!r}"
            )

    @property
    def width_um(self) -> tuple[float, float]:
        """Extent along x (columns) and y (rows)."""
        return self.shape[1] * self.pitch_um, self.shape[0] * self.pitch_um

    def with_(self, **changes: Any) -> SensorConfig:
        """A copy with some values changed.

        Raises:
            InputError: a name that is no setting, or a value that cannot be.
        """
        unknown = set(changes) - set(self.__dataclass_fields__)
        if unknown:
            raise InputError(f"no sensor setting {min(unknown)!r}; there are {', '.join(self.__dataclass_fields__)}")
        # JSON knows no tuples.
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in changes.items()}
        return replace(self, **values)

    # Charge transport ---------------------------------------------------------------------------------------------

    def _field_term(self, z_um: np.ndarray) -> np.ndarray:
        # -ln(1 - 2 UD z / (d (UB + UD))): the integral of dz / E(z) for the linear field of a depleted diode.
        depth = np.clip(z_um, 0, self.thickness_um) / self.thickness_um
        return -np.log1p(-2 * self.depletion_v / (self.bias_v + self.depletion_v) * np.minimum(depth, 1 - 1e-9))

    def drift_ns(self, z_um: np.ndarray) -> np.ndarray:
        """Time (ns) a carrier needs from z to the pixels, at constant mobility in the linear field."""
        # um2 / (V cm2/Vs) = 1e-8 s
        return 10 * self.thickness_um**2 / (2 * self.depletion_v * self.mobility) * self._field_term(z_um)

    def depth_um(self, drift_ns: np.ndarray) -> np.ndarray:
        """The z (um) a drift time belongs to, clipped to the sensor; the inverse of `drift_ns`."""
        return depth_um(
            drift_ns,
            thickness_um=self.thickness_um,
            bias_v=self.bias_v,
            depletion_v=self.depletion_v,
            mobility=self.mobility,
        )

    def diffusion_um(self, z_um: np.ndarray) -> np.ndarray:
        """RMS (um) of a cloud from z at the pixels; sigma^2 = (kT/q) d^2 / UD * field term (Einstein relation)."""
        area = BOLTZMANN_EV * self.temperature_k * self.thickness_um**2 / self.depletion_v
        return np.sqrt(area * self._field_term(z_um))

    def sigma_px(self, z_um: np.ndarray) -> np.ndarray:
        """`diffusion_um` in pixels."""
        return self.diffusion_um(z_um) / self.pitch_um

    @property
    def widest_um(self) -> float:
        """Largest RMS of a cloud: carriers are no faster sideways than to the pixels.

        The Gaussian of a heavy ion then falls below a threshold of some keV at about the thickness of the sensor.
        """
        return max(self.thickness_um / 5, float(self.diffusion_um(np.array(self.thickness_um))))

    def cloud_um(self, z_um: np.ndarray, cloud_kev: np.ndarray, kev_per_um: np.ndarray) -> np.ndarray:
        """RMS (um) at the pixels of a dense cloud that diffuses and repels itself.

        A compact cloud expands by itself as a uniform sphere, R^3 = 3 k N, a track as a uniform cylinder, R^2 = 4 k N/L,
        with k = mu q t / (4 pi epsilon) (Gatti et al., NIM A 253 (1987) 393); the smaller of the two holds. Diffusion
        dilutes the sphere: d(sigma^2)/dt = 2 D + Q / sigma (Benoit and Hamel, NIM A 606 (2009) 508), solved here as
        sigma^3 = sigma_D^2 sigma + sigma_R^3. `repulsion` scales R to the measured sizes of alpha clusters, so it also
        stands for plasma and induced-charge effects.

        Args:
            z_um: depth of the deposit.
            cloud_kev: energy of the whole cloud.
            kev_per_um: energy a length of track.
        """
        drift_s = 1e-9 * self.drift_ns(z_um)
        volume = self.mobility * 1e-4 * ELECTRON_CHARGE * drift_s / (4 * math.pi * PERMITTIVITY) * 1e18
        pairs, line = cloud_kev * 1e3 / self.pair_ev, kev_per_um * 1e3 / self.pair_ev
        sphere = self.repulsion * np.cbrt(3 * volume * pairs) / math.sqrt(5)
        cylinder = self.repulsion * np.sqrt(4 * volume * line) / 2
        diffusion = self.diffusion_um(z_um)
        both = np.hypot(diffusion, sphere)
        for _ in range(4):
            # Newton from above; the cubic is convex there.
            both -= (both**3 - diffusion**2 * both - sphere**3) / np.maximum(3 * both**2 - diffusion**2, 1e-12)
        return np.minimum(np.minimum(both, np.hypot(diffusion, cylinder)), self.widest_um)


def is_number(value: object) -> bool:
    """Whether a value is a finite number; True and False are none."""
    return (
        isinstance(value, (int, float, np.integer, np.floating))
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


_WHOLE = ("tot_bits", "min_size")

_PAIRS = (
    ("shape", "rows", "columns"),
    ("timewalk", "b (ns)", "c"),
    ("volcano_kev", "start of the overshoot", "saturation (keV)"),
    ("halo", "share", "width"),
)

_LIMITS: tuple[tuple[str, float, float], ...] = (
    ("thickness_um", 10, 5000),
    ("pitch_um", 1, 1000),
    ("bias_v", 0.1, 5000),
    ("depletion_v", 0.1, 5000),
    ("temperature_k", 50, 400),
    ("mobility", 1, 1e5),
    ("pair_ev", 1, 10),
    ("fano", 0, 1),
    ("threshold_kev", 0, 1e3),
    ("noise_kev", 0, 100),
    ("gain_spread", 0, 1),
    ("tot_bits", 4, 32),
    ("toa_bin_ns", 0.1, 1e3),
    ("repulsion", 0, 10),
    ("volcano_gain", 0, 10),
    ("gain_adu_per_kev", 1e-6, 1e9),
    ("min_size", 1, 1000),
)

TIMEPIX_300UM = SensorConfig()
"""A MiniPIX-like Timepix: 155 V; thresholds of 5 keV are usual."""

TIMEPIX3_500UM = SensorConfig(
    chip="timepix3",
    readout="tot+toa",
    thickness_um=500.0,
    bias_v=230.0,
    depletion_v=80.0,
    tot_bits=10,
    toa_bin_ns=1.5625,
)
"""Timepix3: 230 V, 80 V depletion and 480 cm2/Vs give a full drift of 23.6 ns."""

CCD_675UM = SensorConfig(
    chip="ccd",
    readout="adu",
    thickness_um=675.0,
    pitch_um=15.0,
    shape=(4084, 2035),
    # kT/q d^2/UD = 215 um2 and 2 UD/(d (UB + UD)) = 1.3e-3/um: the width law of arXiv:1607.07410 at 135 K.
    bias_v=31.54,
    depletion_v=24.65,
    temperature_k=135.0,
    mobility=2500.0,
    pair_ev=3.77,
    fano=0.16,
    threshold_kev=150 / 1400,
    noise_kev=0.0075,
    gain_spread=0.0,
    # Chosen, not measured: alphas of some ten pixels across (arXiv:1506.02562 shows them large and round).
    repulsion=0.4,
    gain_adu_per_kev=1400.0,
    pedestal_adu=3850.0,
    min_size=5,
)
"""A DAMIC-type CCD: 15 um pixels, 21 um of diffusion at full depth; the threshold lies at 4000 ADU."""

PRESETS = {"timepix_300um": TIMEPIX_300UM, "timepix3_500um": TIMEPIX3_500UM, "ccd_675um": CCD_675UM}

ALIASES = {"ccd": "ccd_675um"}


def preset(name: str | SensorConfig) -> SensorConfig:
    """A sensor by name.

    Raises:
        InputError: no preset of this name.
    """
    if isinstance(name, SensorConfig):
        return name
    found = PRESETS.get(ALIASES.get(name, name))
    if found is None:
        raise InputError(f"unknown preset {name!r}; there is {', '.join(PRESETS)}")
    return found
