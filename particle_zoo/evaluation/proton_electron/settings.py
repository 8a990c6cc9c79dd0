"""What a study compares, and how much each method may learn."""

from __future__ import annotations

import math
from typing import Any, Literal, Self

import pydantic

from particle_zoo.errors import InputError

RESULTS_ONLY = ("seeds", "fractions", "resamples")
"""Settings that add trainings or change what is made of them; a folder keeps what it has when they change."""


class Ablation(pydantic.BaseModel):
    """One variant of pretraining.

    Args:
        autoencoder: model that is pretrained.
        settings: of the autoencoder and of the classifier that starts from it.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    autoencoder: str
    settings: dict[str, Any] = {}


class Form(pydantic.BaseModel):
    """Models and budgets.

    Args:
        cnn: small classifier, trained from scratch.
        classifier: large classifier, trained from scratch and from a pretrained autoencoder.
        autoencoder: what is pretrained.
        ablations: variants of the pretraining by name, the first being the one that the others are compared with.
        backbone: of classifier and autoencoder; None leaves it to the models.
        size: side of all input images, px; None leaves it to the models.
        train: training clusters, the same number of each class; None takes all there are.
        validation: as `train`, of the validation split: what early stopping and the best epoch are chosen on.
        test: the first so many clusters of the test split; None takes all of them.
        epochs: of the classifier. Each draws `epoch_clusters` of the training clusters (see `network_settings`), or all.
        cnn_epochs: the same for the small classifier.
        most_passes: a training on a share of the labels takes as many more epochs as it sees fewer clusters in each, at most
            so many times, and waits as many times longer for an improvement: few labels are to be learned as well as they
            can be. A network with batch normalisation predicts nothing before some hundred steps.
        pretraining: data set of the pretraining; None takes the autoencoder's default. Its labels are not used.
        pretrain_clusters: drawn of it an epoch; None leaves it to the autoencoder.
        pretrain_epochs: of the pretraining.
        pretrain_rate: learning rate of the pretraining; None leaves it to the autoencoder.
        pretrain_size: side of its images, px, if below `size`; None takes `size`. An encoder's weights fit any.
        precision: dtype policy of all networks.
        network_settings: further settings of every network that has them.
        fractions: shares of the training labels, for every method but the small classifier: the question is what pretraining
            saves.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    cnn: str = "timepix_cnn"
    classifier: str = "effnet_classifier"
    autoencoder: str = "effnet_ae_mask25"
    ablations: dict[str, Ablation] = {
        "25 % masked": Ablation(autoencoder="effnet_ae_mask25"),
        "nothing masked": Ablation(autoencoder="effnet_ae_mask0"),
        "50 % masked": Ablation(autoencoder="effnet_ae_mask50"),
        "image head only": Ablation(autoencoder="effnet_ae_mask25_imagehead"),
        "no time channel": Ablation(autoencoder="effnet_ae_mask25", settings={"time": "drop"}),
    }
    backbone: str | None = "B0"
    size: int | None = pydantic.Field(96, ge=8)
    train: int | None = pydantic.Field(None, ge=4)
    validation: int | None = pydantic.Field(None, ge=2)
    test: int | None = pydantic.Field(None, ge=10)
    epochs: int = pydantic.Field(6, ge=1)
    cnn_epochs: int = pydantic.Field(10, ge=1)
    most_passes: int = pydantic.Field(10, ge=1)
    pretraining: str | None = None
    pretrain_clusters: int | None = pydantic.Field(None, ge=1)
    pretrain_epochs: int = pydantic.Field(4, ge=1)
    pretrain_rate: float | None = pydantic.Field(None, gt=0)
    pretrain_size: int | None = pydantic.Field(None, ge=8)
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    network_settings: dict[str, Any] = {}
    fractions: tuple[float, ...] = (0.01, 0.1, 1.0)

    @pydantic.field_validator("fractions")
    @classmethod
    def _in_order(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if not values or not all(0 < value <= 1 for value in values):
            raise ValueError("fractions lie above 0 and reach up to 1")
        # The table of all methods is about all labels.
        return tuple(sorted({*values, 1.0}))


FORMS = {
    # Sized for two slow cores: the trees learn from all clusters, a network looks at about half of them, once.
    "small": Form(
        train=16_000,
        validation=1_000,
        test=6_000,
        epochs=3,
        cnn_epochs=5,
        pretrain_clusters=2_000,
        pretrain_epochs=3,
        # What `recipe=laptop` of the autoencoder learns with.
        pretrain_rate=3e-3,
        pretrain_size=64,
        network_settings={
            "epoch_clusters": 2_500,
            "batch_size": 32,
            "accumulate": 1,
            "patience": 0,
            "fresh_statistics": 128,
        },
        fractions=(1.0,),
    ),
    "full": Form(
        backbone="B4",
        size=384,
        train=60_000,
        validation=10_000,
        epochs=8,
        cnn_epochs=20,
        most_passes=5,
        pretrain_epochs=20,
    ),
}
"""`small` is for two cores and an hour; `full` takes 60,000 clusters and wants a GPU."""


class Settings(Form):
    """Everything the results of a study depend on, but for the code.

    Args:
        spectrum: of the simulated protons and electrons, see `particle_zoo/simulation/spectra.yaml`.
        form: name of the form the settings started from.
        seeds: trainings of every method that is not the same with every seed.
        resamples: of the test primaries, for the intervals.
        pretrained: digest of the weights of a run that takes the place of the pretraining; "" without one.
    """

    spectrum: Literal["orbit", "benchmark"] = "orbit"
    form: str = "small"
    seeds: int = pydantic.Field(3, ge=1)
    resamples: int = pydantic.Field(1000, ge=10)
    pretrained: str = ""

    @property
    def dataset(self) -> str:
        """NAME/CONFIG of the clusters."""
        return f"timepix1_clusters/satram_simulated_{self.spectrum}"

    @classmethod
    def choose(cls, form: str, **changes: Any) -> Self:
        """The settings of a form, with what the user changed; None stands for unchanged.

        Raises:
            InputError: an impossible value, named.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        if "size" in given:
            # Whoever chooses a size chooses that of the pretraining too.
            given.setdefault("pretrain_size", given["size"])
        try:
            return cls(**{**FORMS[form].model_dump(), "form": form, **given})
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"])) or "settings"
            raise InputError(f"{name}: {first['msg']}; received {first['input']!r}; choose another value") from error

    def passes(self, fraction: float) -> float:
        """How many times the epochs a training takes when only a fraction of the labels is known.

        It sees as many clusters as with all labels, unless `most_passes` ends it before.
        """
        known, drawn = fraction * (self.train or math.inf), self.network_settings.get("epoch_clusters") or math.inf
        if math.isinf(known):
            return min(1 / fraction, self.most_passes)
        return float(min(min(known / fraction, drawn) / min(known, drawn), self.most_passes))

    def epochs_of(self, model: str, fraction: float) -> int:
        """Of a model when only a fraction of the labels is known."""
        return max(1, round((self.cnn_epochs if model == self.cnn else self.epochs) * self.passes(fraction)))
