"""`python -m particle_zoo.benchmark WHAT`: speed, simulation and networks beside what one would use instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from particle_zoo.cli import PRECISIONS, load_keras, output_options, parse_settings, run, write_json
from particle_zoo.jet_benchmarks import jet_variants, jets
from particle_zoo.precision_benchmark import precision
from particle_zoo.speed_benchmarks import inference, pipeline, training


@click.group()
def benchmark() -> None:
    """Measure speed, how far the simulation can be trusted, and what networks gain. Times depend on the machine."""


@benchmark.command(context_settings={"show_default": True})
@click.option("--hits", type=click.IntRange(1000), default=2_900_000, help="Hits of the Timepix3 stream.")
@click.option("--input", "file", type=click.Path(path_type=Path), help="Your .t3pa instead of a generated stream.")
@click.option("--frames", type=click.IntRange(10), default=400, help="Timepix frames at each occupancy.")
@click.option("--clusters", type=click.IntRange(1, 50_000), default=12_000, help="Clusters in the CCD frame.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of streams and frames.")
@click.option("--repeats", type=click.IntRange(1), default=3, help="Runs of each method; the fastest counts.")
@click.option(
    "--against", multiple=True, metavar="'CMD {input}'", help="Another program to time on the same .t3pa; repeatable."
)
@output_options
def clustering(
    hits: int,
    file: Path | None,
    frames: int,
    clusters: int,
    seed: int,
    repeats: int,
    against: tuple[str, ...],
    json_path: Path | None,
    quiet: bool,
) -> None:
    """Timepix3 hits, Timepix frames and a CCD frame to clusters, beside what one would use instead, on one core.

    The hit stream is timed in memory and from .t3pa text, beside scikit-learn's DBSCAN and any program given with
    --against; frames beside scipy.ndimage; the CCD frame beside a breadth-first search in Python. Then the features and
    morphological classes of clusters.
    """
    from particle_zoo.evaluation import clustering_speed

    result = clustering_speed.measure(
        hits=hits, frame_count=frames, ccd_clusters=clusters, seed=seed, repeats=repeats, against=against, file=file
    )
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


@benchmark.command(context_settings={"show_default": True})
@click.argument("dataset")
@click.option("--clusters", type=click.IntRange(1), help="Clusters to simulate.  [default: the published number]")
@click.option("--manual-dir", type=click.Path(path_type=Path), help="Folder with your own files, for NAME/files.")
@click.option("--output", type=click.Path(path_type=Path), default=Path("sizes.png"), help="Figure to write.")
@output_options
def balance(
    dataset: str, clusters: int | None, manual_dir: Path | None, output: Path, json_path: Path | None, quiet: bool
) -> None:
    """Cluster sizes of a Timepix DATASET (NAME/CONFIG) before and after they are flattened, as a table and a figure."""
    from particle_zoo.evaluation.balance import measure

    result = measure(dataset, output, clusters=clusters, manual_dir=manual_dir)
    click.echo(f"flat in the training split: chi-square p = {result['chi_square_p']:.3f}; figure: {output}")
    if json_path:
        write_json(json_path, result)


@benchmark.command("proton_electron", context_settings={"show_default": True})
@click.option(
    "--spectrum", type=click.Choice(("orbit", "benchmark")), default="orbit", help="Of the simulated particles."
)
@click.option(
    "--form", type=click.Choice(("small", "full")), default="small",
    help="Budgets: small for two cores and an hour, full for a GPU. The options below change parts of it.",
)  # fmt: skip
@click.option("--seeds", type=click.IntRange(1), default=3, help="Trainings of every method that depends on a seed.")
@click.option("--size", type=click.IntRange(8), help="Side of the networks' images, px.  [default: small 96, full 384]")
@click.option("--backbone", help="B0 to B7.  [default: small B0, full B4]")
@click.option(
    "--train", "train", type=click.IntRange(4), help="Training clusters, both together.  [default: the form's]"
)
@click.option(
    "--test", "test", type=click.IntRange(10), help="Score on the first N test clusters.  [default: the form's]"
)
@click.option("--epochs", type=click.IntRange(1), help="Of every network, on all labels.  [default: the form's]")
@click.option("--precision", type=click.Choice(PRECISIONS), help="Of the networks.  [default: float32]")
@click.option("--pretrain-epochs", type=click.IntRange(1), help="Of the autoencoder.  [default: the form's]")
@click.option(
    "--fractions", metavar="PERCENT,...", help="Shares of the training labels.  [default: small 100, full 1,10,100]"
)
@click.option(
    "--pretrained", type=click.Path(path_type=Path), metavar="RUN", help="Start from this run instead of pretraining."
)
@click.option("--ablations", is_flag=True, help="Compare variants of the pretraining instead.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Folder.  [default: runs/proton_electron-SPECTRUM-FORM]"
)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where data sets are kept.  [default: TFDS's]")
@click.option("--force", is_flag=True, help="Start over in a folder that holds a study.")
@output_options
def proton_electron(
    form: str,
    epochs: int | None,
    fractions: str | None,
    output: Path | None,
    json_path: Path | None,
    pretrained: Path | None,
    ablations: bool,
    data_dir: Path | None,
    force: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Protons against electrons: majority, cuts, trees and networks on the same simulated Timepix clusters.

    Every number has a 95 % interval from resampling the primaries of the test set, and every network a sentence that
    says whether it beats the random forest. A study that was stopped goes on when the same command is given again.
    """
    load_keras()
    from particle_zoo.evaluation.proton_electron import compare
    from particle_zoo.evaluation.proton_electron.settings import Settings

    settings = Settings.choose(
        form, epochs=epochs, cnn_epochs=epochs, fractions=compare.fractions(fractions), **options
    )
    result = compare.compare(
        settings, output, pretrained=pretrained, ablations=ablations, force=force, data_dir=data_dir, quiet=quiet
    )
    if json_path:
        write_json(json_path, result)


@benchmark.command(context_settings={"show_default": True})
@click.option(
    "--noise", "noises", type=click.Choice(("realistic", "white", "ecdf")), multiple=True, default=("realistic",),
    help="Of the frames; repeatable. Results count on realistic, white is a sanity check.",
)  # fmt: skip
@click.option(
    "--level", "levels", type=click.Choice(("mild", "nominal", "hard")), multiple=True, default=("nominal",),
    help="How bad the noise is; repeatable.",
)  # fmt: skip
@click.option("--full", is_flag=True, help="The published set at full size, for a GPU and hours.")
@click.option(
    "--shape", type=click.IntRange(64), nargs=2, metavar="ROWS COLS",
    help="Part around the middle of the sensor, px.  [default: 1152 1152, with --full all of it]",
)  # fmt: skip
@click.option(
    "--pedestals", "train", type=click.IntRange(10), help="Dark frames to train on.  [default: 60, with --full 200]"
)
@click.option("--signal", type=click.IntRange(1), help="Frames with light.  [default: 200]")
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of camera, frames and trainings.")
@click.option("--epochs", type=click.IntRange(1), help="Of every network.  [default: the recipe's]")
@click.option(
    "--runs", type=click.Path(path_type=Path), multiple=True, metavar="RUN",
    help="A trained run in place of the networks; repeatable. It has to be of the same camera.",
)  # fmt: skip
@click.option("--networks/--classical", default=True, help="With networks, or only what needs none.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder.  [default: runs/anomaly]")
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Where frames for trainings are kept.  [default: TFDS's]"
)
@click.option("--force", is_flag=True, help="Start over in a folder that holds a study.")
@output_options
def anomaly(
    noises: tuple[str, ...],
    levels: tuple[str, ...],
    runs: tuple[Path, ...],
    networks: bool,
    output: Path | None,
    data_dir: Path | None,
    force: bool,
    json_path: Path | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Searches for light in camera frames that learned from the same dark ones, at equal false regions and at equal area.

    Pedestal subtraction, CYGNO's online trigger, matched filters and autoencoders against simulated truth and against the
    pixel lists that the reconstruction would give, with 95 % intervals from resampling frames, and gates. A study that was
    stopped goes on when the same command is given again.
    """
    from particle_zoo.evaluation.anomaly import study
    from particle_zoo.evaluation.anomaly.study_settings import Settings, cells

    if networks:
        load_keras()
    result = study.compare(
        Settings.choose(**options), cells(noises, levels), output,
        runs=runs, networks=networks, data_dir=data_dir, force=force, quiet=quiet,
    )  # fmt: skip
    if json_path:
        write_json(json_path, result)


@benchmark.command("deep_clustering", context_settings={"show_default": True})
@click.option("--balanced", is_flag=True, help="Simulated patches with as many of each kind.")
@click.option("--unbalanced", is_flag=True, help="Simulated patches with 20 of noise for one nuclear recoil.")
@click.option("--digits", is_flag=True, help="scikit-learn's 1,797 digits, dense layers.")
@click.option(
    "--mnist", type=click.Path(path_type=Path), help="mnist.npz, for a GPU: 70,000 digits, the papers' layers."
)
@click.option("--seeds", type=click.IntRange(1), default=5, help="Trainings of every method that depends on a seed.")
@click.option("--patches", type=click.IntRange(20), default=1_000, help="Simulated patches of each mix.")
@click.option("--epochs", type=click.IntRange(1), help="Of the autoencoder.  [default: 15, digits and MNIST 100]")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="One setting of the networks; repeatable.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder.  [default: runs/deep_clustering]")
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Where simulated patches are kept.  [default: TFDS's]"
)
@click.option("--force", is_flag=True, help="Start over where a folder holds a study with other settings.")
@output_options
def deep_clustering(
    balanced: bool,
    unbalanced: bool,
    digits: bool,
    mnist: Path | None,
    epochs: int | None,
    settings: tuple[str, ...],
    output: Path | None,
    json_path: Path | None,
    **options: Any,
) -> None:
    """Clusters without labels: DEC and IDEC beside the k-means they start from, and beside five features by hand.

    Accuracy, NMI and ARI with the least and greatest of all seeds. Without a set: balanced, unbalanced and digits. A study
    that was stopped goes on when the same command is given again.
    """
    load_keras()
    from particle_zoo.evaluation.deep_clustering import study

    asked = {"balanced": balanced, "unbalanced": unbalanced, "digits": digits, "mnist": mnist is not None}
    sets = [name for name, given in asked.items() if given] or ["balanced", "unbalanced", "digits"]
    changes = parse_settings(settings) | ({"epochs": epochs} if epochs else {})
    result = study.compare(sets, output, settings=changes, mnist=mnist, **options)
    if json_path:
        write_json(json_path, result)


@benchmark.command(context_settings={"show_default": True})
@click.argument("name")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="One setting of the model; repeatable.")
@click.option(
    "--batch-size", "batch_sizes", type=click.IntRange(1), multiple=True, help="Repeatable.  [default: the recipe's]"
)
@click.option(
    "--precision", "precisions", type=click.Choice(PRECISIONS), multiple=True, default=("float32",), help="Repeatable."
)
@click.option("--steps", type=click.IntRange(2), default=10, help="Timed steps.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of everything random.")
@output_options
def network(
    name: str,
    settings: tuple[str, ...],
    batch_sizes: tuple[int, ...],
    json_path: Path | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Images a second and memory of training and prediction of the model NAME, at each precision and batch size."""
    from particle_zoo.evaluation import network_speed

    result = network_speed.measure(name, parse_settings(settings), batch_sizes=batch_sizes, **options)
    if json_path:
        write_json(json_path, result)


@benchmark.command(context_settings={"show_default": True})
@click.option(
    "--run", "source", metavar="RUN", help="Run folder or published name.  [default: an untrained pedestal_ae]"
)
@click.option(
    "--shape", "shapes", type=click.IntRange(64), nargs=2, multiple=True, metavar="ROWS COLS",
    help="Size of the frames, px; repeatable.  [default: 2304 2304 and 2304 4096]",
)  # fmt: skip
@click.option("--frames", type=click.IntRange(2), default=20, help="Timed frames of each size.")
@click.option(
    "--long", type=click.IntRange(11), metavar="N", help="Also watch the memory of a run of N frames of the first size."
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of frames and weights.")
@output_options
def frames(
    source: str | None,
    shapes: tuple[tuple[int, int], ...],
    frames: int,
    long: int | None,
    seed: int,
    json_path: Path | None,
    quiet: bool,
) -> None:
    """Milliseconds a camera frame from counts to regions, stage by stage, one frame at a time.

    Beside them the same network in PyTorch, where that is installed, the experiment's online trigger, and the slowest steps
    in plain NumPy and SciPy.
    """
    load_keras()
    from particle_zoo.evaluation.anomaly import speed

    result = speed.measure(run=source, shapes=shapes or speed.SHAPES, frames=frames, long=long or 0, seed=seed)
    if json_path:
        write_json(json_path, result)


@benchmark.command(context_settings={"show_default": True, "ignore_unknown_options": True})
@click.argument("name")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("--workers", type=click.IntRange(2), default=2, help="Processes of the last search.")
@output_options
def search(name: str, arguments: tuple[str, ...], workers: int, json_path: Path | None, quiet: bool) -> None:
    """Trials an hour of a search of NAME without pruning, with each pruner, and with several workers.

    ARGUMENTS are those of `tuning.search`, such as --trials 30 --epochs 20.
    """
    from tuning import speed

    result = speed.measure(name, arguments, workers=workers)
    if json_path:
        write_json(json_path, result)


for _command in (jets, jet_variants, pipeline, training, inference, precision):
    benchmark.add_command(_command)


def main() -> None:
    """Entry point."""
    run(benchmark)


if __name__ == "__main__":
    main()
