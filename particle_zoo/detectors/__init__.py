"""From detector files to clusters."""
