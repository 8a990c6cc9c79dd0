"""`python -m particle_zoo.simulate PRESET --particle NAME`: simulated clusters into a file.

The module can be called: after `import particle_zoo.simulate` the name `particle_zoo.simulate` is this module, and it
has to go on simulating.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from particle_zoo.cli import load_keras, output_options, parse_settings, run, write_json
from particle_zoo.clusters import Clusters
from particle_zoo.errors import InputError

SUFFIXES = (".parquet", ".t3pa", ".clog", "")


@click.command(context_settings={"show_default": True})
@click.argument("preset")
@click.option("--particle", required=True, help="electron, proton, muon, alpha, photon, ion:Z:A, ...")
@click.option("--n", type=int, default=10_000, help="Clusters.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of everything random.")
@click.option("--energy-mev", type=float, help="Kinetic energy of every primary.  [default: the particle's spectrum]")
@click.option("--spectrum", help="Named spectrum: benchmark or orbit.  [default: the particle's]")
@click.option("--angles", default="normal", help="normal, isotropic, cosine or fixed:DEGREES.")
@click.option(
    "--rate",
    "rate_hz",
    type=float,
    help="Write a hit stream (.t3pa) of --n particles at this many a second, with pile-up, instead of clusters.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Sensor setting, e.g. saturation=true or bias_v=200."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="File to write (.parquet, .t3pa, .clog), or a folder for TFDS.",
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
@output_options
def command(
    preset: str,
    particle: str,
    n: int,
    seed: int,
    energy_mev: float | None,
    spectrum: str | None,
    angles: str,
    rate_hz: float | None,
    settings: tuple[str, ...],
    output: Path,
    force: bool,
    json_path: Path | None,
    quiet: bool,
) -> None:
    """Simulate clusters of PRESET (timepix_300um, timepix3_500um, ccd_675um) and write them.

    A fast simulation, not Geant4; `python -m particle_zoo.benchmark physics` shows what it reproduces.
    """
    from particle_zoo.simulation import iter_simulate
    from particle_zoo.simulation.sensor import preset as sensor_of

    sensor = sensor_of(preset)
    if settings:
        sensor = sensor.with_(**parse_settings(settings))
    if output.suffix not in SUFFIXES:
        raise InputError(f"--output must end in .parquet, .t3pa or .clog, or be a folder; received {output}")
    if output.suffix == ".t3pa" and sensor.readout != "tot+toa":
        raise InputError(f".t3pa holds ToT and ToA, which {preset} does not measure; write .parquet or .clog")
    if output.exists() and (output.is_dir() or not force):
        hint = "choose another folder" if output.is_dir() else "replace it with --force or choose another --output"
        raise InputError(f"{output} exists; {hint}")
    source = sensor if settings else preset
    physics: dict[str, Any] = {"energy_mev": energy_mev, "spectrum": spectrum, "angles": angles}
    counts = {"clusters": 0, "hits": 0, "split": 0}
    if rate_hz is not None:
        from particle_zoo.simulation.stream import stream

        if output.suffix != ".t3pa":
            raise InputError(f"--rate writes a hit stream into .t3pa; received --output {output}")
        hits = stream(source, particle=particle, n=n, rate_hz=rate_hz, seed=seed, **physics)
        _write(output, _counted(hits, counts, n, quiet))
        click.echo(f"{n:,} particles at {rate_hz:g} a second, {counts['hits']:,} hits")
    else:
        clusters = iter_simulate(source, particle=particle, n=n, seed=seed, **physics)
        _write(output, _counted(clusters, counts, n, quiet))
        click.echo(f"{counts['clusters']:,} clusters, {counts['hits']:,} hits, {counts['split']:,} of split primaries")
    if json_path:
        write_json(json_path, {**counts, "preset": preset, "particle": particle, "seed": seed, "output": str(output)})
    click.echo(f"written: {output}")


def _write(output: Path, parts: Iterator[Any]) -> None:
    if output.suffix:
        from particle_zoo.detectors.writers import write

        write(output, parts)
    else:
        from particle_zoo.data import store

        # TFDS imports TensorFlow, whose C++ part would greet on stderr.
        load_keras()
        store.write(output, parts)


def _counted(parts: Iterator[Any], counts: dict[str, int], n: int, quiet: bool) -> Iterator[Any]:
    from tqdm import tqdm

    # disable=None: a bar on a terminal, nothing in a log file.
    with tqdm(total=n, unit=" clusters", disable=True if quiet else None) as bar:
        for part in parts:
            if isinstance(part, Clusters):
                counts["clusters"] += len(part)
                counts["hits"] += len(part.hits)
                counts["split"] += int(part.table["split"].sum())
                bar.update(len(part))
            else:
                counts["hits"] += len(part)
            yield part


class _Callable(types.ModuleType):
    """A module that simulates when called."""

    def __call__(self, *args: Any, **options: Any) -> Clusters:
        from particle_zoo.simulation import simulate

        return simulate(*args, **options)


sys.modules[__name__].__class__ = _Callable


def main() -> None:
    """Entry point."""
    run(command)


if __name__ == "__main__":
    main()
