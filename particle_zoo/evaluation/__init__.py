"""Metrics of trained models, always beside what a simple method reaches on the same clusters."""
