"""Data and training of a trial, one module a kind of data; see `tuning.trial_data`."""
