"""Other systems' result files as ``Predictions``: one module per format, matching to records, cameras to our crops."""
