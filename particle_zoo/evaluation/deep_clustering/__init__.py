"""How well clusters without labels agree with the kinds of patches, beside simpler methods."""
