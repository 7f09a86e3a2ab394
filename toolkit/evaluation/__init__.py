"""Judging systems: predictions, metrics, protocols and the tail."""
