"""One TOML file per dataset: what it is, where it comes from, how it lies on disk (``records.manifest`` reads them)."""
