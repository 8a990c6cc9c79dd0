"""Training: batches, the loop, checkpoints and the run folder."""
