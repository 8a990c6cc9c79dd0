"""`python -m particle_zoo.benchmark WHAT`: speed beside what one would use instead, and simulation beside reality."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from particle_zoo.cli import output_options, run, table, write_json

SHAPE = (4084, 2035)
"""The seed's frames (003), rows and columns."""


@click.group()
def benchmark() -> None:
    """Measure speed, and how far the simulation can be trusted. Times depend on the machine, ratios hardly."""


@benchmark.command(context_settings={"show_default": True})
@click.option("--clusters", "n", type=click.IntRange(1, 50_000), default=12_000, help="Clusters in the frame.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of the frame.")
@click.option("--repeats", type=click.IntRange(1), default=3, help="Runs of each method; the fastest counts.")
@output_options
def clustering(n: int, seed: int, repeats: int, json_path: Path | None, quiet: bool) -> None:
    """A CCD frame of 4084 x 2035 px to clusters, metadata and 64x64 images, beside a breadth-first search in Python."""
    from particle_zoo.detectors.clustering import breadth_first, cluster

    image = frame(n, seed)
    found = cluster(image)
    ours = _fastest(lambda: cluster(image), repeats)
    crops = _fastest(lambda: found.images(64), repeats)
    scan = _fastest(lambda: breadth_first(image, 4000.0, 5), 1)
    reference = breadth_first(image, 4000.0, 5)
    same = [sorted(pixels) for pixels in reference] == [
        sorted(map(tuple, h[:, :2].astype(int).tolist())) for h in found
    ]
    result = {
        "clusters": len(found),
        "clustering_s": ours,
        "images_s": crops,
        "total_s": ours + crops,
        "breadth_first_s": scan,
        "ratio": scan / ours,
        "equal": same,
    }
    table(
        f"{len(found):,} clusters of a {SHAPE[0]} x {SHAPE[1]} px frame, one core",
        ("method", "seconds", "frames a second"),
        [
            ("cluster(): labels, hits and metadata", ours, 1 / ours),
            ("  and images(64)", ours + crops, 1 / (ours + crops)),
            ("breadth-first search in Python, labels only", scan, 1 / scan),
        ],
    )
    click.echo(f"{result['ratio']:.0f} times as fast, " + ("the same clusters" if same else "DIFFERENT clusters"))
    if json_path:
        write_json(json_path, result)


@benchmark.command(context_settings={"show_default": True})
@click.option(
    "--data", "folder", type=click.Path(path_type=Path), required=True,
    help="Folder with timepix1/*.yml.gz (mPIXdaq) and ccd/ (the labelled layout), or one of them.",
)  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path), default=Path("real"), help="Folder of the figures.")
@click.option("--clusters", "n", type=click.IntRange(100), default=20_000, help="Simulated clusters a component.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of everything random.")
@output_options
def real(folder: Path, output: Path, n: int, seed: int, json_path: Path | None, quiet: bool) -> None:
    """Simulation against real clusters: Kolmogorov-Smirnov distances, overlays, and a forest trained on simulation."""
    from particle_zoo.evaluation import real_data

    result = real_data.compare(folder, output, n=n, seed=seed)
    if json_path:
        write_json(json_path, result)


@benchmark.command(context_settings={"show_default": True})
@click.option("--output", type=click.Path(path_type=Path), help="Folder of the figures.  [default: no figures]")
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of everything random.")
@output_options
def physics(output: Path | None, seed: int, json_path: Path | None, quiet: bool) -> None:
    """The silicon simulation against published physics: measured, published, tolerance, verdict."""
    from particle_zoo.evaluation.physics.report import report

    result = report(output, seed=seed, quiet=quiet)
    if json_path:
        write_json(json_path, result)


@benchmark.command(context_settings={"show_default": True})
@click.option("--clusters", "n", type=click.IntRange(100), default=20_000, help="Clusters a case.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of everything random.")
@output_options
def simulation(n: int, seed: int, json_path: Path | None, quiet: bool) -> None:
    """Simulated clusters a second, by particle and preset."""
    from particle_zoo.evaluation import simulation_speed

    result = simulation_speed.measure(n, seed)
    if json_path:
        write_json(json_path, result)


def frame(n: int, seed: int) -> np.ndarray:
    """A noisy float32 frame with about n clusters: simulated ones, each used many times, scattered on a grid."""
    from particle_zoo.simulation.ccd import CCD, generate

    rng = np.random.default_rng(seed)
    image = rng.normal(CCD.pedestal_adu, 2 * CCD.noise_kev * CCD.gain_adu_per_kev, SHAPE).astype(np.float32)
    # One cell a cluster, so that few of them touch; the longest tracks of the simulation do not fit into a cell.
    cell = int(np.sqrt(SHAPE[0] * SHAPE[1] / n))
    while (SHAPE[0] // cell) * (SHAPE[1] // cell) < n:
        cell -= 1
    stock = [h[:, :3] - [h[:, 0].min(), h[:, 1].min(), 0] for h in generate(400, seed)]
    stock = [h for h in stock if h[:, :2].max() < cell - 1]
    across = SHAPE[1] // cell
    for i, choice in enumerate(rng.integers(len(stock), size=n)):
        hits = stock[choice]
        image[hits[:, 0].astype(int) + cell * (i // across), hits[:, 1].astype(int) + cell * (i % across)] = hits[:, 2]
    return image


def _fastest(function: Callable[[], Any], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times)


def main() -> None:
    """Entry point."""
    run(benchmark)


if __name__ == "__main__":
    main()
