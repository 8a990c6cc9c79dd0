"""Timepix clusters as a TFDS data set."""
