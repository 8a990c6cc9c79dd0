"""From clusters to model inputs, in NumPy."""
