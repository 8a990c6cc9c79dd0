"""The page of a model, docs/models/NAME.md, made from its card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from particle_zoo import registry
from particle_zoo.cli import read_json
from particle_zoo.publication.measures import meanings, taken_on
from particle_zoo.training import recipe
from particle_zoo.weights import shipped

Card = dict[str, Any]


def page(card: Card, *, picture: bool) -> str:
    """Markdown of a card.

    Args:
        card: of published weights (card.json), or of a registered model without weights.
        picture: whether a figure of scored examples, NAME.png, lies beside the page.
    """
    name = card["name"]
    parts = [
        f"# {name}",
        f"{_sentence(card['summary'])}\n\nSource: {card['source']}. Licence: {card['licence']}.",
        f"![layers of {name}]({name}_architecture.png)",
        _inputs(card),
    ]
    parts += _published(card, picture) if "scores" in card else [_unpublished(card)]
    if "exports" in card:
        parts.append(_exports(card))
    if card.get("notes"):
        parts.append(f"## Notes\n\n{_sentence(card['notes'])}")
    if card.get("limits"):
        parts.append(f"## Limits and misuse\n\n{_sentence(card['limits'])}")
    return "\n\n".join(parts) + "\n"


def card_of(name: str) -> Card:
    """The card of the weights that come with the package or its companion, else that of the registered model.

    Raises:
        UnknownModelError: no such model.
    """
    folder = next((place / name for place in shipped() if (place / name / "card.json").exists()), None)
    return registry.info(name).to_dict() if folder is None else read_json(folder / "card.json", what="model card")


def index(cards: list[Card]) -> str:
    """Markdown list of all models, linked to their pages."""
    rows = [(f"[{c['name']}]({c['name']}.md)", c["summary"], f"{c['parameters']:,}", _weights(c)) for c in cards]
    head = "# Models\n\nEvery page is made from a card by `python -m particle_zoo.cards`.\n"
    return f"{head}\n{_table(('model', 'what', 'parameters', 'weights'), rows)}\n"


def _weights(card: Card) -> str:
    if "scores" not in card:
        return "none"
    needed = [size for file, size in card.get("parts_bytes", {}).items() if file in card.get("parts_sha256", {})]
    return " + ".join(f"{size / 1e6:.2f}" for size in (card["weights_bytes"], *needed)) + f" MB, {card['kernels']}"


def _inputs(card: Card) -> str:
    rows = [(f"`{i['name']}`", _shape(i["shape"]), i["units"], _range(i["value_range"])) for i in card["inputs"]]
    return "\n".join(
        [
            "## Inputs and outputs\n",
            _table(("input", "shape", "channels and units", "range"), rows),
            "",
            f"Output: {card['output']}. Parameters: {card['parameters']:,}. Detector: {card['detector']}.",
            "`model.preprocess(...)` makes the inputs.",
        ]
    )


def _range(stated: str) -> str:
    """One range where all channels have the same; a table cell would not hold 27 of them."""
    ranges = stated.split(", ")
    return f"{ranges[0]}, each" if len(ranges) > 1 and len(set(ranges)) == 1 else stated


def _unpublished(card: Card) -> str:
    command = f"python -m particle_zoo.train {card['name']}"
    if card["default_dataset"].endswith("/files"):
        return f"## Weights\n\nNone: train it on your own files.\n\n```sh\n{command} --manual-dir DIR --publish\n```"
    how = "--recipe --publish" if card["name"] in recipe.names() else "--publish"
    return f"## Weights\n\nNone are published.\n\n```sh\n{command} {how}\n```"


def _published(card: Card, picture: bool) -> list[str]:
    name, training, packing = card["name"], card["training"], card["packing"]
    minutes = training["seconds"] / 60
    versions = ", ".join(f"{key} {value}" for key, value in training["versions"].items() if value)
    changed = ", ".join(f"{key} {100 * value:.2g} %" for key, value in packing["output_difference"].items())
    before = {(row["method"], row["metric"]): row["value"] for row in packing["scores_before"]}
    rows = [
        (f"`{r['method']}`" if r["method"] == name else r["method"], r["metric"], _number(r["value"]), _interval(r))
        for r in card["scores"]
    ]
    unpacked = "; ".join(f"{metric} {_number(value)}" for (_, metric), value in before.items())
    losses = ", ".join(f"{_number(value)} ({epoch})" for epoch, value in training["losses"].items())
    speed = card["speed"]
    # Cards of releases before this was told lack it.
    one = speed.get("example")
    times = ", ".join(f"{ms:g} ms for a batch of {n}" for n, ms in speed["ms"].items())
    parts = [
        "\n".join(
            [
                "## Scores\n",
                f"```sh\n{card['scores_command']}\n```\n",
                f"{taken_on(card)}\n",
                _table(("method", "measure", "value", "95 % interval"), rows),
                f"\n{meanings([row['metric'] for row in card['scores']])}",
            ]
        )
    ]
    if picture:
        parts.append(f"![what it makes of test examples]({name}.png)")
    parts += [
        "\n".join(
            [
                "## Training\n",
                f"```sh\n{training['command']}\n```\n",
                f"Its recipe, `recipes/{name}.yaml`:\n\n```yaml\n{card['recipe'].strip()}\n```\n",
                f"{minutes:.3g} minutes on {training['processor']} (wall time); {versions}. "
                f"{'Validation' if training.get('validated', True) else 'Training'} loss (after epoch): {losses}."
                + (f" The clustering that followed ended: {training['ended']}." if "ended" in training else "")
                + "".join(f" Warning: {alarm}." for alarm in card.get("metrics", {}).get("alarms", ())),
            ]
        ),
        "\n".join(
            [
                "## Weights\n",
                f"{card['weights_bytes'] / 1e6:.2f} MB, kernels stored as {card['kernels']} and restored to float32 by `load`. That "
                f"changes the outputs, in shares of their standard deviation (root mean square), by: {changed}. Before: {unpacked}."
                + (_PEDESTAL if card["task"] == "anomaly" and card["kernels"] != "float32" else ""),
                *_beside(card),
                f"Speed on {_cores(speed)}: {times}" + (f"; an example is {one}, preprocessed." if one else "."),
                f"`particle_zoo.verify({json.dumps(name)})` repeats {card['golden']['examples']} golden examples"
                + (f", each {one}." if one else "."),
            ]
        ),
    ]
    return parts


_PEDESTAL = (
    " Level and noise of the pixels are rounded to steps of at most the standard error of a level, which is in these scores and not in "
    "that change."
)

BESIDE = {
    "baseline.parquet": "training clusters by id and features, for `evaluate`",
    "pedestal.npz": "level and noise of each pixel of the camera",
    "calibration.json": "thresholds",
}
"""Files beside the weights, and what is in them."""


def _beside(card: Card) -> list[str]:
    """A line on the files beside the weights, with their sizes as far as the card knows them."""
    sizes = card.get("parts_bytes", dict.fromkeys(card.get("parts_sha256", {})))
    if not sizes:
        return []
    told = [
        (f"{size / 1e6:.2f} MB of " if size is not None else "") + f"`{file}` ({BESIDE[file]})"
        for file, size in sizes.items()
    ]
    return [f"Beside them: {', '.join(told)}."]


def _cores(measured: Card) -> str:
    return f"{measured['cores']} core{'s' * (measured['cores'] > 1)} of {measured['processor']}"


FILES = {"onnx": "ONNX", "litert": "LiteRT", "litert_int8": "LiteRT, kernels as int8", "saved_model": "SavedModel"}
"""What the formats of exports are called."""


USELESS = 0.1
"""Share of its largest value by which an output of an int8 file is off, or of examples in another class, from which nobody should use it."""


def _exports(card: Card) -> str:
    rows, refused, sizes = [], [], list(card["speed"]["ms"])
    for kind, title in FILES.items():
        entry = card["exports"][kind]
        if "refused" in entry:
            refused.append(f"{title}: {entry['refused'].rstrip('.')}.")
            continue
        ms = entry["latency"]["ms"]
        changed = ", ".join(f"{key} {value:.1e}" for key, value in entry["difference"].items())
        rows.append((title, f"{entry['bytes'] / 1e6:.2f}", *(_ms(ms, n) for n in sizes), changed, _judged(entry)))
    first = next((entry for entry in card["exports"].values() if "examples" in entry), None)
    if first is None:
        return "\n".join(["## Exports\n", *refused])
    tried, latency = first["examples"], first["latency"]
    rows.append(("Keras, preprocessing included", "", *(_ms(latency["keras_ms"], n) for n in sizes), "", ""))
    head = ("format", "MB", *(f"ms, batch of {n}" for n in sizes), "largest difference from Keras", "classes")
    return "\n".join(
        [
            "## Exports\n",
            f"```sh\npython -m particle_zoo.export {card['name']} --format onnx{_source(tried['data'])}\n```\n",
            _table(head, rows),
            "",
            f"That is of the first row, and so with the other formats. On {tried['n']} examples ({tried['data']}), preprocessing "
            f"included, on {_cores(latency)}; differences are shares of the largest output.",
            *_useless(card["exports"]),
            *([_CAMERA] if card["task"] == "anomaly" else []),
            *refused,
        ]
    )


def _useless(exports: Card) -> list[str]:
    """A line on the int8 file where it says something else than Keras; other files that do are not written."""
    entry = exports["litert_int8"]
    if "refused" in entry:
        return []
    # A probability may be off by as much without another answer.
    if "agreement" in entry:
        off = 1 - entry["agreement"]
        why = f"{100 * off:.1f} % of the examples are of another class than in Keras"
    else:
        name, off = max(entry["difference"].items(), key=lambda item: item[1])
        why = f"{name} is off by up to {100 * off:.0f} % of its largest value"
    return [f"{FILES['litert_int8']}, is not to be used: {why}."] if off > USELESS else []


_CAMERA = "An example is a whole frame here. Level and noise of each pixel of the camera are inside every file, which is why they are so large."


def _source(data: str) -> str:
    """Options of the command for examples of a data set, by what the export says of them."""
    name, _, split = data.partition(", split ")
    return f" --dataset {name} --split {split}" if split else ""


def _ms(times: dict[str, float], n: str) -> str:
    return f"{times[n]:.3g}" if n in times else ""


def _judged(entry: Card) -> str:
    if "agreement" not in entry:
        return ""
    told = f"{100 * entry['agreement']:.1f} % as in Keras"
    return told + (
        f"; accuracy {entry['accuracy']:.3f}, Keras {entry['accuracy_keras']:.3f}" if "accuracy" in entry else ""
    )


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines: list[tuple[str, ...]] = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _shape(shape: Any) -> str:
    return " x ".join("any" if side is None else str(side) for side in shape)


def _interval(row: Card) -> str:
    return "" if row["low"] is None else f"{_number(row['low'])} to {_number(row['high'])}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."
