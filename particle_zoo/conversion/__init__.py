"""Weights of other frameworks as models of the zoo."""
