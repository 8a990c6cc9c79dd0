"""Speed of training and inference, Keras beside PyTorch modules of the same architecture."""
