"""CCD clusters as a TFDS data set."""
