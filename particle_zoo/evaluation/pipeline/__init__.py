"""Speed of the way from stored clusters and frames to model inputs."""
