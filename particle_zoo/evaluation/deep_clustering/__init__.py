"""How well clusters without labels agree with the kinds of patches, beside simpler methods."""

from particle_zoo.evaluation.deep_clustering.hand_features import hand_features
from particle_zoo.evaluation.deep_clustering.scores import scores

__all__ = ["hand_features", "scores"]
