"""`python -m particle_zoo.cards`: the pages of all models, made from their cards."""

from __future__ import annotations

from pathlib import Path

import click

from particle_zoo.cli import load_keras, replacing, run


@click.command(context_settings={"show_default": True})
@click.option("--output", type=click.Path(path_type=Path), default=Path("docs/models"), help="Folder of the pages.")
def cards(output: Path) -> None:
    """Write NAME.md and a figure of the layers for every model, and README.md with a list of them.

    Models with weights that come with the package, or with particle-zoo-weights, get the card of those; what you have
    published yourself is left out.
    """
    load_keras()
    from particle_zoo import registry
    from particle_zoo.plots.architecture import architecture
    from particle_zoo.publication.page import card_of, index, page

    found = {name: card_of(name) for name in registry.list_models()}
    for name, card in found.items():
        architecture(registry.build(name, **card["config"]), output / f"{name}_architecture.png")
        with replacing(output / f"{name}.md") as temporary:
            temporary.write_text(page(card, picture=(output / f"{name}.png").exists()))
    with replacing(output / "README.md") as temporary:
        temporary.write_text(index(list(found.values())))
    click.echo(f"{len(found)} pages in {output}")


if __name__ == "__main__":
    run(cards)
