"""Pages of models, made from their cards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import particle_zoo
from particle_zoo import registry, weights
from particle_zoo.cards import cards
from particle_zoo.cli import read_json
from particle_zoo.exporting.formats import FORMATS
from particle_zoo.plots import architecture as drawing
from particle_zoo.publication.headline import headline
from particle_zoo.publication.measures import meanings, taken_on
from particle_zoo.publication.page import card_of, index, page

ROOT = Path(weights.__file__).parents[1]

ZOOS = [ROOT / "particle_zoo" / "zoo", ROOT / "weights" / weights.COMPANION]
"""Of the repository; the companion need not be installed."""

CARDS = sorted(path for place in ZOOS for path in place.glob("*/card.json"))


def test_pages_without_weights_say_how_to_get_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("particle_zoo.publication.page.shipped", list)
    jets, image_only = card_of("ae_25d_z8"), card_of("effnet_ae_mask25_imagehead")
    assert "train ae_25d_z8 --manual-dir DIR --publish" in page(jets, picture=False)
    assert "train effnet_ae_mask25_imagehead --publish" in page(image_only, picture=False)
    assert "| [ae_25d_z8](ae_25d_z8.md) |" in index([jets, image_only])


@pytest.fixture
def camera() -> dict[str, Any]:
    """A card of a camera model, with what a page reads of it."""
    interval = {"value": 0.9, "low": 0.8, "high": 1.0}
    scores = headline(
        "anomaly", "m", {"equal_area": {"methods": {"m": {"retention": interval, "efficiency": interval}}}}
    )
    here = {"processor": "a processor", "cores": 1}
    times = {"ms": {"1": 9.0}, "keras_ms": {"1": 7.0}, **here}
    entry = {"bytes": 5, "difference": {"residual": 0.0}, "latency": times, "examples": {"n": 3, "data": "noise"}}
    return particle_zoo.info("pedestal_ae").to_dict() | {
        "kernels": "int8", "dataset": "camera_frames/simulated_realistic", "recipe": "", "weights_bytes": 80_000,
        "training": {"command": "", "seconds": 1, "processor": "", "versions": {}, "losses": {}},
        "packing": {"output_difference": {}, "scores_before": []}, "scores": scores, "golden": {"examples": 4},
        "scores_command": "python -m particle_zoo.evaluate pedestal_ae --limit 40", "speed": {"ms": {"1": 1.0}, **here},
        "exports": dict.fromkeys(FORMATS, entry), "parts_sha256": {weights.PEDESTAL: "0"},
    }  # fmt: skip


def test_a_page_of_a_camera_model_counts_its_pedestal_and_says_what_an_example_is(camera: dict[str, Any]) -> None:
    card = camera | {"parts_bytes": {weights.PEDESTAL: 10_400_000, "baseline.parquet": 2_000_000}}
    card["speed"]["example"] = "a crop of 128 x 128 px"
    text = page(card, picture=False)
    for said in (
        "On the first 40 frames of the split `signal` of camera_frames/simulated_realistic",
        "Events found: ",
        "10.40 MB of `pedestal.npz` (level and noise of each pixel of the camera), 2.00 MB of `baseline.parquet`",
        "1 ms for a batch of 1; an example is a crop of 128 x 128 px",
        "An example is a whole frame here.",
        "inside every file",
        "| Keras, preprocessing included |  | 7 |",
        "on 1 core of a processor",
    ):
        assert said in text
    # Without the pedestal it is not usable; the rivals it may lack.
    assert "| 0.08 + 10.40 MB, int8 |" in index([card])


def test_a_page_can_be_made_of_a_card_that_does_not_say_what_an_example_is(camera: dict[str, Any]) -> None:
    text = page(camera, picture=False)
    assert "1 ms for a batch of 1.\n`particle_zoo.verify" in text
    assert "repeats 4 golden examples.\n" in text
    assert "Beside them: `pedestal.npz` (level" in text


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.parent.name)
def test_every_measure_of_a_shipped_card_is_explained(path: Path) -> None:
    for metric in {row["metric"] for row in read_json(path)["scores"]}:
        assert meanings([metric]), metric


@pytest.mark.parametrize(
    ("task", "command", "said"),
    [
        ("classifier", "evaluate cnn", "On the test split of d."),
        ("classifier", "evaluate cnn --limit 3000", "On the first 3,000 clusters of the test split of d."),
        (
            "autoencoder",
            "evaluate x",
            "On the test split of d, or 5,000 clusters spread evenly over it where it has more.",
        ),
        (
            "deep_clustering",
            "evaluate dec --limit 9",
            "On the first 9 of the patches simulated like d, from another seed",
        ),
    ],
)
def test_scores_say_what_they_are_on(task: str, command: str, said: str) -> None:
    assert taken_on({"task": task, "dataset": "d", "scores_command": command}).startswith(said)


def test_committed_pages_are_those_that_the_command_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # To build and draw every model takes most of a minute.
    drawn: list[str] = []
    monkeypatch.setattr(registry, "build", lambda name, **_: name)
    monkeypatch.setattr(drawing, "architecture", lambda name, _: drawn.append(name))
    folder = ROOT / "docs" / "models"
    for picture in folder.glob("*.png"):
        (tmp_path / picture.name).touch()
    monkeypatch.setattr("particle_zoo.publication.page.shipped", lambda: ZOOS)
    cards.main(["--output", str(tmp_path)], standalone_mode=False)
    assert drawn == particle_zoo.list_models()
    for name in ["README", *drawn]:
        assert (folder / f"{name}.md").read_text() == (tmp_path / f"{name}.md").read_text(), name
    for name in drawn:
        assert (folder / f"{name}_architecture.png").stat().st_size > 1000
