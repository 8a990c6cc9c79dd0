"""How fast pixels become clusters, beside what one would use instead, on one core."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.cli import table
from particle_zoo.clusters import Clusters
from particle_zoo.detectors.chain import iter_clusters
from particle_zoo.detectors.clustering import breadth_first, cluster, cluster_stream
from particle_zoo.detectors.frames import Frames
from particle_zoo.detectors.hits import Hits
from particle_zoo.errors import InputError

CCD_SHAPE = (4084, 2035)
"""The seed's frames (003), rows and columns."""

CHIP = 256
OCCUPANCIES = (0.004, 0.02, 0.08)
DBSCAN_HITS = 100_000
"""Hits given to DBSCAN, which is slow."""


def measure(
    *,
    hits: int,
    frame_count: int,
    ccd_clusters: int,
    seed: int,
    repeats: int,
    against: tuple[str, ...],
    file: Path | None,
) -> dict[str, Any]:
    """Time all kinds of clustering and print a table each.

    Args:
        hits: length of the generated Timepix3 stream.
        frame_count: Timepix frames at each occupancy.
        ccd_clusters: clusters in the CCD frame.
        seed: of everything random.
        repeats: runs of each method; the fastest counts.
        against: commands to run on the same .t3pa file, with {input} where its name goes.
        file: .t3pa to use instead of a generated one.

    Returns:
        The numbers of the tables.

    Raises:
        InputError: a command without {input}, or one that fails.
    """
    for command in against:
        if "{input}" not in command:
            raise InputError(f"--against takes a command with {{input}} in it; received {command!r}")
    with tempfile.TemporaryDirectory() as scratch:
        result = {"timepix3": timepix3(Path(scratch), hits, seed, repeats, against, file)}
    result["frames"] = frames(frame_count, seed, repeats)
    result["features"] = features(seed, repeats)
    result["ccd"] = ccd(ccd_clusters, seed, repeats)
    return result


def timepix3(
    scratch: Path, n: int, seed: int, repeats: int, against: tuple[str, ...], file: Path | None
) -> dict[str, Any]:
    """A hit stream: in memory, from .t3pa text, by DBSCAN, and by other programs."""
    from sklearn.cluster import DBSCAN

    from particle_zoo.detectors.readers import read
    from particle_zoo.detectors.writers import write

    if file is None:
        file = write(scratch / "stream.t3pa", stream(n, seed))
    hits = read(file)
    if not isinstance(hits, Hits):
        raise InputError(f"{file} holds no hit stream; give a .t3pa")
    cluster(hits[:1000])
    found = cluster(hits)
    n = len(hits)
    rows = [("cluster(): hits in memory to Clusters", n, fastest(lambda: cluster(hits), repeats))]
    halves = [hits[i : i + 2**20] for i in range(0, n, 2**20)]
    rows.append(("cluster_stream(): in parts", n, fastest(lambda: _count(cluster_stream(halves)), repeats)))
    rows.append(("iter_clusters(): text to Clusters", n, fastest(lambda: _count(iter_clusters(file)), repeats)))
    some = hits.sorted()[:DBSCAN_HITS]
    # Largest distance along any axis at most 1: the same neighbours, with a window of 200 ns.
    place = np.column_stack([some.row, some.col, some.toa / (200 / 1.5625)])
    scan = DBSCAN(eps=1, min_samples=1, metric="chebyshev", n_jobs=1)
    rows.append(("scikit-learn DBSCAN, labels only", len(some), fastest(lambda: scan.fit(place), 1)))
    same = _partition(cluster(some), some) == _canonical(scan.fit(place).labels_)
    for command in against:
        seconds = _run(command, file)
        rows.append((command, n, seconds))
    table(
        f"Timepix3: {n:,} hits, {len(found):,} clusters, {n / max(len(found), 1):.1f} hits each, one core",
        ("method", "hits", "seconds", "Mhit/s"),
        [(name, f"{count:,}", f"{s:.3f}", f"{count / s / 1e6:.2f}") for name, count, s in rows],
    )
    print("the same clusters as DBSCAN" if same else "DIFFERENT clusters than DBSCAN")
    return {
        "hits": n,
        "clusters": len(found),
        "mhits_per_s": {name: count / seconds / 1e6 for name, count, seconds in rows},
        "equal_to_dbscan": same,
    }


def frames(count: int, seed: int, repeats: int) -> dict[str, Any]:
    """Frames of a Timepix at several occupancies: sparse, from images, and by scipy, image by image."""
    from scipy import ndimage

    rows, numbers = [], {}
    for occupancy in OCCUPANCIES:
        # A tenth of them differ: making frames takes longer than clustering them.
        images = np.stack([timepix_frame(occupancy, seed + i) for i in range(-(-count // 10))] * 10)[:count]
        sparse = Frames.from_dense(images)
        cluster(sparse)
        pixels = images.size

        def label(images: np.ndarray = images) -> int:
            return sum(ndimage.label(image > 0, structure=np.ones((3, 3)))[1] for image in images)

        speeds = {
            "cluster(Frames)": fastest(lambda s=sparse: cluster(s), repeats),  # type: ignore[misc]
            "from_dense() and cluster()": fastest(lambda i=images: cluster(Frames.from_dense(i)), repeats),  # type: ignore[misc]
            "scipy.ndimage.label, labels only": fastest(label, repeats),
        }
        same = len(cluster(sparse)) == label()
        share = len(sparse.row) / pixels
        rows += [(f"{share:.1%}: {name}", f"{pixels / s / 1e6:.0f}", f"{count / s:.0f}") for name, s in speeds.items()]
        numbers[f"{share:.4f}"] = {name: pixels / s / 1e6 for name, s in speeds.items()} | {"equal_to_scipy": same}
    table(f"{count} frames of {CHIP} x {CHIP} px, one core", ("occupancy: method", "Mpix/s", "frames/s"), rows)
    return numbers


def features(seed: int, repeats: int, n: int = 20_000) -> dict[str, Any]:
    """All features and the morphological classes of simulated clusters."""
    from particle_zoo.detectors.holy import classify
    from particle_zoo.detectors.morphology import ALL_FEATURES
    from particle_zoo.detectors.morphology import features as all_of
    from particle_zoo.simulation import simulate

    kinds = ("electron", "proton", "alpha")
    clusters = Clusters.concat(
        simulate("timepix_300um", particle=kind, n=n // len(kinds), seed=seed, angles="isotropic") for kind in kinds
    )
    all_of(clusters[:10], ALL_FEATURES)
    classify(clusters[:10])
    speeds = {
        f"{len(ALL_FEATURES)} features": len(clusters) / fastest(lambda: all_of(clusters, ALL_FEATURES), repeats),
        "morphological classes": len(clusters) / fastest(lambda: classify(clusters), repeats),
    }
    rows = [(name, f"{speed:,.0f}") for name, speed in speeds.items()]
    table(f"{len(clusters):,} clusters, {clusters.sizes.mean():.1f} px each, one core", ("what", "clusters/s"), rows)
    return speeds


def ccd(n: int, seed: int, repeats: int) -> dict[str, Any]:
    """A CCD frame to clusters, metadata and 64x64 images, beside a breadth-first search in Python."""
    image = ccd_frame(n, seed)
    found = cluster(image)
    ours = fastest(lambda: cluster(image), repeats)
    crops = fastest(lambda: found.images(64), repeats)
    started = time.perf_counter()
    reference = breadth_first(image, 4000.0, 5)
    scan = time.perf_counter() - started
    same = [sorted(pixels) for pixels in reference] == [
        sorted(map(tuple, h[:, :2].astype(int).tolist())) for h in found
    ]
    table(
        f"{len(found):,} clusters of a {CCD_SHAPE[0]} x {CCD_SHAPE[1]} px frame, one core",
        ("method", "seconds", "frames a second"),
        [
            ("cluster(): labels, hits and metadata", ours, 1 / ours),
            ("  and images(64)", ours + crops, 1 / (ours + crops)),
            ("breadth-first search in Python, labels only", scan, 1 / scan),
        ],
    )
    print(f"{scan / ours:.0f} times as fast, " + ("the same clusters" if same else "DIFFERENT clusters"))
    return {
        "clusters": len(found),
        "clustering_s": ours,
        "images_s": crops,
        "total_s": ours + crops,
        "breadth_first_s": scan,
        "ratio": scan / ours,
        "equal": same,
    }


def stream(n: int, seed: int) -> Hits:
    """About n hits in time order, ToT: simulated clusters of a mixed field at 1 MHz, each used many times.

    A copy gets a place and a time of its own; cut at the edge of the chip. Hits are late by up to 10 us, as they leave
    the chip.
    """
    from particle_zoo.simulation import simulate

    rng = np.random.default_rng(seed)
    kinds = (("muon", "cosine"), ("electron", "isotropic"), ("alpha", "isotropic"))
    stock = Clusters.concat(
        simulate("timepix3_500um", particle=kind, n=1000, seed=seed, angles=angles) for kind, angles in kinds
    )
    # About half of the hits remain inside.
    chosen = stock[rng.integers(len(stock), size=int(2.5 * n / stock.sizes.mean()) + 100)]
    place = rng.integers(-128, 128, (2, len(chosen)))[:, chosen.hit_cluster]
    first = np.minimum.reduceat(chosen.column("toa"), chosen.offsets[:-1])
    start = np.cumsum(rng.exponential(1000.0, len(chosen)))
    time_ns = chosen.column("toa") + (start - first)[chosen.hit_cluster]
    row, col = chosen.column("row") + place[0], chosen.column("col") + place[1]
    inside = (np.minimum(row, col) >= 0) & (np.maximum(row, col) < CHIP)
    tot = np.clip(np.rint(chosen.column("energy")), 1, 1023)
    hits = Hits.from_ns(row[inside], col[inside], tot[inside], time_ns[inside])
    return hits[np.argsort(hits.toa + rng.integers(0, 6400, len(hits)), kind="stable")][:n]


def timepix_frame(occupancy: float, seed: int) -> np.ndarray:
    """A (256, 256) float32 frame of simulated clusters that cover about this share of it."""
    from particle_zoo.simulation import simulate

    rng = np.random.default_rng(seed)
    stock = simulate("timepix_300um", particle="electron", n=200, seed=seed, angles="isotropic")
    image = np.zeros((CHIP, CHIP), np.float32)
    while np.count_nonzero(image) < occupancy * image.size:
        for hits in stock[rng.permutation(len(stock))]:
            row, col = ((hits[:, i].astype(int) + rng.integers(CHIP)) % CHIP for i in (0, 1))
            image[row, col] = hits[:, 2]
            if np.count_nonzero(image) >= occupancy * image.size:
                break
    return image


def ccd_frame(n: int, seed: int) -> np.ndarray:
    """A noisy float32 frame with n clusters: simulated ones, each used many times, scattered on a grid."""
    from particle_zoo.simulation.ccd import CCD, generate

    rng = np.random.default_rng(seed)
    image = rng.normal(CCD.pedestal_adu, 2 * CCD.noise_kev * CCD.gain_adu_per_kev, CCD_SHAPE).astype(np.float32)
    # One cell a cluster, so that none touch; the longest tracks of the simulation do not fit into a cell.
    cell = int(np.sqrt(CCD_SHAPE[0] * CCD_SHAPE[1] / n))
    while (CCD_SHAPE[0] // cell) * (CCD_SHAPE[1] // cell) < n:
        cell -= 1
    stock = [h[:, :3] - [h[:, 0].min(), h[:, 1].min(), 0] for h in generate(400, seed)]
    stock = [h for h in stock if h[:, :2].max() < cell - 1]
    across = CCD_SHAPE[1] // cell
    for i, choice in enumerate(rng.integers(len(stock), size=n)):
        hits = stock[choice]
        image[hits[:, 0].astype(int) + cell * (i // across), hits[:, 1].astype(int) + cell * (i % across)] = hits[:, 2]
    return image


def fastest(function: Callable[[], Any], repeats: int) -> float:
    """Seconds of the fastest of some runs."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times)


def _count(parts: Any) -> int:
    return sum(len(part) for part in parts)


def _partition(found: Clusters, hits: Hits) -> list[int]:
    """Label of every hit of a sorted stream; hits are found again by place, time and energy."""
    key = np.rec.fromarrays([found.hits[:, i] for i in (3, 0, 1, 2)])
    own = np.rec.fromarrays([hits.time_ns, *(np.asarray(v, float) for v in (hits.row, hits.col, hits.energy))])
    label = np.empty(len(hits), np.int64)
    label[np.argsort(own, kind="stable")] = found.hit_cluster[np.argsort(key, kind="stable")]
    return _canonical(label)


def _canonical(label: np.ndarray) -> list[int]:
    """Labels renumbered in the order of their first hits."""
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    numbers: list[int] = np.argsort(np.argsort(first))[inverse].tolist()
    return numbers


def _run(command: str, file: Path) -> float:
    words = [word.replace("{input}", str(file)) for word in shlex.split(command)]
    started = time.perf_counter()
    try:
        done = subprocess.run(words, capture_output=True, check=False, text=True)
    except OSError as error:
        raise InputError(
            f"--against {command!r} cannot be run ({error.strerror}); give a program of this machine"
        ) from error
    seconds = time.perf_counter() - started
    if done.returncode:
        said = " ".join(done.stderr.split())[-120:]
        raise InputError(f"--against {command!r} ended with code {done.returncode} ({said}); run it by hand first")
    return seconds
