"""Where work runs: ``local`` on this machine, ``cluster`` on Ray; ``choice`` picks by name."""
