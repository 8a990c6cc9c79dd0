"""Hyperparameter search; `python -m tuning.search NAME`."""
