"""Measurements beside the peers, in the same run, as ratios: `make bench`."""
