"""What the scores of a card are taken on, and what they mean."""

from __future__ import annotations

import re
from typing import Any

from particle_zoo.evaluate import DRAWN

MEANINGS = {
    "accuracy": "share of the clusters whose most probable class is the true one",
    "balanced accuracy": "mean over the classes of the share of a class that is recognised",
    "binary cross-entropy": "of the image and its reconstruction, summed over pixels, mean over clusters; less is better",
    "KL divergence": "of a cluster's distribution in the latent space from a standard normal one, mean over clusters; the "
    "latent vector tells no more of a cluster on the average",
    "5-NN accuracy": "share of the clusters whose class the five nearest others in the representation tell, in a 5-fold "
    "cross-validation; the model has seen no class",
    "linear accuracy": "the same with a logistic regression on the representation",
    "mask IoU": "pixels that are hit in the cluster and in its reconstruction, over those hit in either, mean over clusters; "
    "1 is perfect",
    "energy error": "difference of the energies of a pixel, weighted by the larger of both and summed over pixels, in shares of "
    "the summed squares of the true energies, mean over clusters; 0 is perfect, an empty image has 1",
    "light kept": "share of the true light that lies in the regions found; every method discards the same share of the area",
    "events found": "share of the events with light of which half of the light or more lies in the regions found; every method "
    "discards the same share of the area",
    "mean square error": "of the normalised variables, mean over jets and variables; it compares with none of other variables or "
    "another normalisation",
    "accuracy, best assignment": "share of the patches in a cluster of their kind, with clusters assigned to kinds one to one so "
    "that this is largest; the model has seen no kind",
}
"""By measure, without what follows a comma unless that is another measure."""

UNITS = {"compression": "jets ", "anomaly": "frames ", "deep_clustering": ""}
"""What examples are called, by task, where that is not said anyway; all others take clusters."""


def taken_on(card: dict[str, Any]) -> str:
    """Sentence that says which data the scores of a card are of, by its `task`, `dataset` and `scores_command`."""
    task, dataset = card["task"], card["dataset"]
    limit = re.search(r"--limit (\d+)", card["scores_command"])
    some = f"the first {int(limit[1]):,} {UNITS.get(task, 'clusters ')}of " if limit else ""
    if task == "anomaly":
        return f"On {some}the split `signal` of {dataset}, whose frames have known light."
    if task == "deep_clustering":
        return f"On {some}the patches simulated like {dataset}, from another seed than those of the training."
    spread = f", or {DRAWN:,} clusters spread evenly over it where it has more" if task == "autoencoder" else ""
    return f"On {some}the test split of {dataset}{'' if limit else spread}."


def meanings(metrics: list[str]) -> str:
    """One sentence a measure, in their order; measures without a known meaning are left out."""
    known = {metric if metric in MEANINGS else metric.partition(",")[0] for metric in metrics}
    return " ".join(f"{name[:1].upper()}{name[1:]}: {text}." for name, text in MEANINGS.items() if name in known)
