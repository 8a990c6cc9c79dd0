"""From what a study has measured to numbers with intervals, on the same resamples of frames for all methods."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.evaluation.anomaly import redpix_study, study_gates
from particle_zoo.evaluation.anomaly.bootstrap import Interval, Statistic, difference, interval, ratio
from particle_zoo.evaluation.anomaly.events import SHARE, efficiency, half_efficiency, visible
from particle_zoo.evaluation.anomaly.light import measures, statistic
from particle_zoo.evaluation.anomaly.methods import BASELINE
from particle_zoo.evaluation.anomaly.of_run import drift_of
from particle_zoo.evaluation.anomaly.study_passes import AREA, GATE, OWN, RATE
from particle_zoo.evaluation.anomaly.study_settings import Cell, Settings

POINTS = (RATE, AREA, GATE, OWN)

FAINT = 1.0
"""Events below this are looked at alone, keV."""

CLASSES = ("nr", "er")
"""With a few energies; that of a mip is what it leaves on its way."""

Numbers = dict[str, Any]


class Found:
    """What one method has left of a study.

    Args:
        kept: of `study_passes.measure`; of networks with `leak` and `leak_passed`, None where they are unknown.
        settings: of the study.
    """

    def __init__(self, kept: Numbers, settings: Settings) -> None:
        self.settings, self.n = settings, settings.signal
        self.thresholds = {point: kept["thresholds"].get(point) for point in POINTS}
        # Numbers that are unknown were written as null.
        self.sums = {point: pd.DataFrame(table, dtype=np.float64) for point, table in kept["sums"].items()}
        events = pd.DataFrame(kept["events"])
        # Sums of deposits: 5.9 and 5.900000000000001 are one energy.
        events["energy_kev"] = events["energy_kev"].round(6)
        self.events = {
            point: events.assign(kept=light, found=(events["light"] > 0) & (light >= SHARE * events["light"]))
            for point, light in ((point, np.array(values)) for point, values in kept["kept"].items())
        }
        self.false, self.pixels, self.finder = kept["false"], kept["pixels"], kept["finder"]
        self.attributed, self.curve = kept["attributed"], kept["curve"]
        self.leak: Numbers = {key: kept[key] for key in ("leak", "leak_passed") if key in kept}

    def interval(self, of: Statistic) -> Interval:
        """Of a statistic over the frames with light."""
        return interval(of, self.n, resamples=self.settings.resamples, seed=self.settings.seed)

    def statistic(self, point: str, name: str, least: float = 0.0, below: float = math.inf) -> Statistic:
        """A measure of events, over frames.

        Args:
            point: of the threshold.
            name: "light" (share of it that is kept), "events" (mean share an event), "found" (share of the events) or "whole"
                (the same of events that the shutter has not cut).
            least: lowest energy, keV.
            below: energy that is too much, keV.
        """
        seen = visible(self.events[point], whole=name == "whole")
        seen = seen[(seen["energy_kev"] >= least) & (seen["energy_kev"] < below)]
        above, total = {
            "light": (seen["kept"], seen["light"]),
            "events": (seen["kept"] / seen["light"], seen["light"] > 0),
            "found": (seen["found"], seen["light"] > 0),
            "whole": (seen["found"], seen["light"] > 0),
        }[name]
        return ratio(*(np.bincount(seen["position"], part.astype(np.float64), self.n) for part in (above, total)))

    def at(self, point: str) -> Numbers:
        """All measures at a threshold."""
        options = {"resamples": self.settings.resamples, "seed": self.settings.seed}
        found: dict[str, Interval] = measures(self.sums[point], **options)
        for name in ("events", "found", "whole"):
            found[f"efficiency_{name}" if name != "events" else "retention_events"] = self.interval(
                self.statistic(point, name)
            )
        found["faint"] = self.interval(self.statistic(point, "whole", below=FAINT))
        counts = np.array(self.false[point], np.float64)
        found["false_regions"] = interval(ratio(counts, np.ones(len(counts))), len(counts), **options)
        return {name: asdict(value) for name, value in found.items()}

    def by_energy(self, point: str) -> list[Numbers]:
        """Efficiency of whole events by class and energy; all mips are one group."""
        whole = visible(self.events[point], whole=True)
        some = whole[whole["class"].isin(CLASSES)]
        options: Numbers = {"n_frames": self.n, "resamples": self.settings.resamples, "seed": self.settings.seed}
        return _rows(
            efficiency(some, ("class", "energy_kev"), **options),
            efficiency(some, ("energy_kev",), **options).assign(**{"class": "nr, er"}),
            efficiency(whole, ("class",), **options).assign(energy_kev=None),
        )

    def by_drift(self, point: str) -> list[Numbers]:
        """Efficiency of whole events by class, energy (`faint` or not) and drift."""
        whole = visible(self.events[point], whole=True)
        some = whole[whole["class"].isin(CLASSES)]
        some = some.assign(faint=some["energy_kev"] < FAINT, drift=drift_of(some["z_mm"]))
        options: Numbers = {"n_frames": self.n, "resamples": self.settings.resamples, "seed": self.settings.seed}
        return _rows(efficiency(some, ("class", "faint", "drift"), **options))

    def e50(self, point: str) -> Numbers:
        """Energy of half the efficiency, by class, of whole events."""
        whole = visible(self.events[point], whole=True)
        parts = {kind: whole[whole["class"] == kind] for kind in CLASSES}
        return {
            kind: asdict(half_efficiency(part, n_frames=self.n, resamples=self.settings.resamples))
            for kind, part in parts.items()
            if len(part)
        }

    def minus(self, other: Found, point: str) -> Numbers:
        """Differences from another method, on the same resamples."""
        light = difference(statistic(self.sums[point], "retention"), statistic(other.sums[point], "retention"))
        found = {"retention": self.interval(light)}
        for name, what, limits in (
            ("retention_bright", "light", {"least": FAINT}),
            ("efficiency", "whole", {}),
            ("faint", "whole", {"below": FAINT}),
        ):
            own, others = (one.statistic(point, what, **limits) for one in (self, other))
            found[name] = self.interval(difference(own, others))
        return {name: asdict(value) for name, value in found.items()}


def _rows(*tables: pd.DataFrame) -> list[Numbers]:
    return [dict(zip(map(str, table.columns), row, strict=True)) for table in tables for row in table.to_numpy(object)]


def collect(kept: Numbers, masks: Numbers, settings: Settings, cell: Cell) -> Numbers:
    """Everything the report says.

    Args:
        kept: of `study_passes.measure`, by method; the online trigger among them.
        masks: of `redpix_study.measure`.
        settings: of the study.
        cell: noise and level.

    Returns:
        JSON-ready: `events` (their numbers), `occupancy`, `methods` (by name: `thresholds`, `finder`, `pixels`, `curve`,
        measures at each point, `by_energy`, `by_drift` and `e50`, `minus_g` at the points both have, and `twin`, the same
        search in another residual, with `minus_twin`; of networks `leak` and `leak_passed`), `gates`, `redpix`.
    """
    found = {name: Found(one, settings) for name, one in kept.items()}
    base = found[BASELINE]
    events = base.events[AREA]
    numbers: Numbers = {
        "cell": cell.model_dump(),
        "events": {
            "all": len(events),
            "visible": len(visible(events)),
            "whole": len(visible(events, whole=True)),
        },
        "occupancy": asdict(base.interval(statistic(base.sums[AREA], "occupancy"))),
        "methods": {name: _method(one, base, *_twin(name, found)) for name, one in found.items()},
        "gates": study_gates.judge(found, base, cell),
        "redpix": _redpix(found, masks, settings),
    }
    return numbers


def _twin(name: str, found: dict[str, Found]) -> tuple[str, Found | None]:
    """The first method with the same search, in another residual: what is between them is due to the residuals."""
    alike = next(other for other, one in found.items() if one.finder == found[name].finder)
    return ("", None) if alike == name else (alike, found[alike])


def _method(one: Found, base: Found, alike: str, twin: Found | None) -> Numbers:
    points = [point for point in POINTS if point in one.sums]
    return {
        "finder": one.finder,
        "thresholds": one.thresholds,
        "pixels": one.pixels,
        "curve": one.curve,
        **one.leak,
        **{point: one.at(point) for point in points},
        "by_energy": {point: one.by_energy(point) for point in (RATE, AREA) if point in points},
        "by_drift": {point: one.by_drift(point) for point in (RATE, AREA) if point in points},
        "e50": one.e50(RATE) if RATE in points else {},
        "minus_g": {} if one is base else _minus(one, base),
        "twin": alike,
        "minus_twin": {} if twin is None else _minus(one, twin),
    }


def _minus(one: Found, other: Found) -> Numbers:
    return {point: one.minus(other, point) for point in (RATE, AREA) if point in one.sums and point in other.sums}


def _redpix(found: dict[str, Found], masks: Numbers, settings: Settings) -> Numbers:
    """Truth, pixel lists and methods side by side: retention, efficiency and purity of each against truth, by energy."""
    options = {"n_frames": settings.signal, "resamples": settings.resamples, "seed": settings.seed}
    tables = {name: (pd.DataFrame(one["events"]), one["loose"]) for name, one in masks.items()}
    for name, one in found.items():
        if RATE in one.events:
            own = pd.DataFrame({column: one.attributed[column] for column in ("pixels", "hits")})
            tables[name] = one.events[RATE].join(own), one.attributed["loose"]
    return {
        name: {
            "all": {key: asdict(value) for key, value in redpix_study.overall(events, loose, **options).items()},
            "by_energy": [
                {key: asdict(value) if isinstance(value, Interval) else value for key, value in row.items()}
                for row in redpix_study.by_energy(events, **options)
            ],
        }
        for name, (events, loose) in tables.items()
    }
