"""Readers of raw data, one file per format; each turns what it finds into record tables (see ``registry``)."""
