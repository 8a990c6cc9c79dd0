"""EfficientNet autoencoders of Timepix clusters and the classifier that starts from them."""

from particle_zoo.models.effnet_ae import classifier, variants
from particle_zoo.models.effnet_ae.autoencoder import EffNetAE
from particle_zoo.models.effnet_ae.classifier import EffNetClassifier

__all__ = ["EffNetAE", "EffNetClassifier", "classifier", "variants"]
