"""Shards: what networks train from. ``builder`` writes them, ``verify`` checks them, ``reader`` streams them."""
