"""The model families. Importing this package imports Keras and registers every model."""

from particle_zoo.models import cnn, cnn_meta, dec, effnet_ae, jet_ae, pedestal_ae, timepix_cnn, vae

__all__ = ["cnn", "cnn_meta", "dec", "effnet_ae", "jet_ae", "pedestal_ae", "timepix_cnn", "vae"]
