"""Camera frames as a TFDS data set."""
