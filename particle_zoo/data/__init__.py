"""Data sets by name: prepared by TFDS where it is installed, otherwise straight from the source, with the same result."""

from particle_zoo.data.load import dataset_classes, fingerprint, labelled, load

__all__ = ["dataset_classes", "fingerprint", "labelled", "load"]
