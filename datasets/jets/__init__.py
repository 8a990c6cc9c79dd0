"""Jets as a TFDS data set."""
