"""`python -m particle_zoo.convert pytorch FILE`: weights of PyTorch nets become models of the zoo, proved equal."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

from particle_zoo.cli import load_keras, output_options, parse_settings, replacing, run, write_json
from particle_zoo.errors import InputError

ACTIVATIONS = {
    "tanh": "tanh after every layer but the latent and the last one, and as the first step of the decoder",
    "leaky_relu": "LeakyReLU with slope 0.01 after every layer but the last one",
}


@click.group()
def convert() -> None:
    """Bring trained weights of other frameworks into the zoo."""


@convert.command(context_settings={"show_default": True})
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--model", "name", required=True, help="Model that the net is: ae_3d_200, ae_25d_z8, ...")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="One setting of the model; repeatable.")
@click.option(
    "--normalisation",
    metavar="FILE",
    help="JSON or CSV with mean and std of each variable over the training jets; none: inputs are standardised already.",
)
@click.option(
    "--unit", type=click.Choice(("GeV", "MeV")), default="GeV", help="Of the energies in the file of --normalisation."
)
@click.option("--force", is_flag=True, help="Replace a run in the output folder.")
@output_options
def pytorch(
    file: Path,
    name: str,
    output: Path,
    settings: tuple[str, ...],
    normalisation: str | None,
    unit: str,
    force: bool,
    json_path: Path | None,
    quiet: bool,
) -> None:
    """Make the state dict FILE of an autoencoder of jets a folder that load, evaluate, predict and compress take.

    FILE is what torch.save(net.state_dict(), FILE) wrote, or a checkpoint of fastai. Layers are mapped by their order, en1 to
    de4 or encoder.0 to decoder.6, and every shape is checked. PyTorch and the model read back from the folder then have to agree
    on 1,000 random jets, or nothing is written. Needs PyTorch.
    """
    load_keras()
    from particle_zoo import registry
    from particle_zoo.conversion.jet_ae import check_model, put, widths
    from particle_zoo.conversion.layers import layers_of
    from particle_zoo.conversion.normalisation import with_statistics
    from particle_zoo.conversion.state_dict import load_torch, read

    torch = load_torch()
    _check_output(output, force=force)
    model = registry.build(name, **parse_settings(settings))
    check_model(name, model.zoo_config)
    model.preprocessor = with_statistics(model.preprocessor, normalisation, unit)
    layers = layers_of(read(file))
    put(layers, model)
    differences = _write(output, model, layers, file)
    click.echo(f"{name} from {file}: {widths(layers)}, {model.count_params():,} parameters")
    if not quiet:
        click.echo(f"a state dict does not tell activations; taken: {ACTIVATIONS[model.zoo_config.activation]}")
        click.echo(_inputs(model.preprocessor, normalisation))
    click.echo(
        f"PyTorch {torch.__version__} and the folder agree for 1,000 random jets: largest difference {max(differences.values()):.1e} "
        f"({', '.join(f'{what} {value:.1e}' for what, value in differences.items())})"
    )
    if json_path:
        write_json(
            json_path,
            {
                "model": name,
                "file": str(file),
                "output": str(output),
                "layers": [layer.name for layer in layers],
                "parameters": model.count_params(),
                "preprocessing": model.preprocessor.to_dict(),
                "differences": differences,
                "torch": str(torch.__version__),
            },
        )
    click.echo(f"written: {output}")


def _check_output(output: Path, *, force: bool) -> None:
    if output.exists() and not output.is_dir():
        raise InputError(f"--output {output} is a file; give a folder")
    if (output / "config.json").exists() and not force:
        raise InputError(f"{output} already holds a run; replace it with --force or choose another --output")


def _inputs(preprocessor: Any, source: str | None) -> str:
    """What the converted model takes."""
    if preprocessor.normalisation == "custom":
        return f"takes {', '.join(preprocessor.columns)}, normalised by the fixed constants of the group"
    if source == "none":
        return f"takes {', '.join(preprocessor.columns)} as already standardised: mean 0 and scale 1 are stored"
    return f"takes {', '.join(preprocessor.columns)} in GeV and rad, standardised by the means and scales of {source}"


def _write(output: Path, model: Any, layers: list[Any], file: Path) -> dict[str, float]:
    """Write the folder once what was read back from a temporary one does as PyTorch does; returns the differences."""
    import keras

    from particle_zoo import registry, weights
    from particle_zoo.conversion.torch_net import differences
    from particle_zoo.training import run_folder

    source = {"file": file.name, "sha256": weights.sha256(file), "layers": [layer.name for layer in layers]}
    config = {
        "model": model.zoo_name,
        "config": model.zoo_config.model_dump(mode="json"),
        "preprocessing": model.preprocessor.to_dict(),
        "classes": None,
        "dataset": registry.info(model.zoo_name).default_dataset,
        "init": "pytorch",
        "source": source,
        "precision": "float32",
        "backend": keras.backend.backend(),
        "versions": run_folder.versions(),
    }
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        weights.save(model, folder / weights.WEIGHTS)
        write_json(folder / "config.json", config)
        found = differences(layers, weights.load_run(folder)[0])
        weights.write_card(folder, model, {"converted_from": source, "differences": found})
        run_folder.clear(output)
        # The weights last: a folder counts as a model only once they are there.
        with replacing(output / weights.WEIGHTS) as last:
            last.write_bytes((folder / weights.WEIGHTS).read_bytes())
            for name in ("config.json", "card.json"):
                with replacing(output / name) as temporary:
                    temporary.write_bytes((folder / name).read_bytes())
    return found


def main() -> None:
    """Entry point."""
    run(convert)


if __name__ == "__main__":
    main()
