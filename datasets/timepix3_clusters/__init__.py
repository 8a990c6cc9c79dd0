"""Timepix3 clusters as a TFDS data set."""
