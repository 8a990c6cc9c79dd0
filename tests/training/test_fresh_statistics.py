"""Batch normalisation at inference uses statistics of the weights it is used with."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

import particle_zoo
from particle_zoo import Clusters
from particle_zoo.pipelines.examples import Examples
from particle_zoo.training.feed import first_inputs
from particle_zoo.training.fit import fit
from particle_zoo.training.fresh_statistics import FreshStatistics, batch_normalisations
from tests.shallow import shallow_efficientnet


@shallow_efficientnet()
def test_statistics_are_those_of_all_batches_together_with_nothing_hidden(timepix3: Clusters) -> None:
    model = particle_zoo.create("tiny_effnet_ae", size=32)
    model.preprocessor = model.preprocessor.fit(timepix3)
    batches = first_inputs(Examples(timepix3, model.preprocess, batch_size=8), 24)
    assert [len(batch) for batch in batches] == [8, 8, 8]
    callback = FreshStatistics(batches)
    callback.set_model(model)
    callback.on_test_begin()
    net = model.encoder.get_layer("backbone")
    stem = keras.Model(net.input, net.get_layer("stem_conv").output)
    adapter = model.encoder.get_layer("adapter")
    seen = [np.asarray(stem(adapter(model.enlarge(batch)))) for batch in batches]
    norm = net.get_layer("stem_bn")
    for found, statistic in ((norm.moving_mean, np.mean), (norm.moving_variance, np.var)):
        expected = statistic(np.concatenate(seen), axis=(0, 1, 2))
        np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-4, atol=1e-6)
    # What training uses afterwards is what it was.
    assert {layer.momentum for layer in batch_normalisations(model)} == {0.95}


def test_nothing_is_dropped_meanwhile(timepix3: Clusters) -> None:
    model = particle_zoo.create("tiny_effnet_classifier", size=32, stochastic_depth=0.9)
    model.preprocessor = model.preprocessor.fit(timepix3)
    last = list(batch_normalisations(model))[-1]
    for norm in batch_normalisations(model):
        # Residual blocks begin as the identity: there would be nothing to drop.
        norm.gamma.assign(keras.ops.ones_like(norm.gamma))
    callback, found = FreshStatistics([model.preprocess(timepix3[:16])]), []
    callback.set_model(model)
    for epoch in range(2):
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch)
        found.append(np.array(last.moving_variance))
    np.testing.assert_array_equal(*found)
    dropout = [layer for layer in model.encoder.get_layer("backbone").layers if isinstance(layer, keras.layers.Dropout)]
    assert max(layer.rate for layer in dropout) > 0.5


def test_every_batch_normalisation_is_found_and_a_frozen_one_left_alone(timepix3: Clusters) -> None:
    model = particle_zoo.create("tiny_effnet_classifier", size=32, frozen=True)
    model.preprocessor = model.preprocessor.fit(timepix3)
    norms = list(batch_normalisations(model))
    # One of the stem, one of the top, three a block but for the first, which has no expansion.
    assert len(norms) == 2 + 16 * 3 - 1
    before = [np.array(norm.moving_variance) for norm in norms]
    callback = FreshStatistics(first_inputs(Examples(timepix3, model.preprocess, batch_size=8), 8))
    callback.set_model(model)
    callback.on_epoch_end(0)
    for norm, old in zip(norms, before, strict=True):
        np.testing.assert_array_equal(norm.moving_variance, old)


@pytest.mark.parametrize("validated", [True, False])
def test_what_is_kept_predicts_as_well_as_it_trained(timepix3: Clusters, tmp_path: Path, validated: bool) -> None:
    classes, off = ("electron", "proton"), {}
    for clusters in (0, 60):
        keras.utils.set_random_seed(0)
        settings = {"epochs": 2, "fresh_statistics": clusters, "learning_rate": 1e-2, "dropout_rate": 0.0}
        model = particle_zoo.create("tiny_timepix_cnn", **settings)
        model.preprocessor = model.preprocessor.fit(timepix3)
        folder = tmp_path / str(clusters)
        folder.mkdir()
        fit(model, timepix3, timepix3[:30] if validated else None, classes=classes, batch_size=12, folder=folder)
        model.load_weights(folder / "model.weights.h5")
        inputs = model.preprocess(timepix3)
        kept, trained = (np.asarray(model(inputs, training=training)) for training in (False, True))
        off[clusters] = np.abs(kept - trained).mean() / trained.std()
    # Ten steps are too few for running averages.
    assert off[60] < 0.2
    assert off[0] > 0.5
