"""Sources to records to prototypes and maps to shards: the offline half of hmrtk."""
