"""Protons against electrons in a Timepix: simple rivals and networks on the same simulated clusters.

`settings` says what is compared and how much of it, `sample` which clusters, `rivals` and `networks` what learns from
them, `study` runs what is not done yet, `scores` makes numbers with intervals of the probabilities, `report` shows them.
"""
