"""The offline half of hmrtk, from raw files to what networks train on. Each stage reads what the one before wrote:

1. ``sources``     read one raw format each: motion capture, data sets, the packaged ``embedded`` records
2. ``records``     hold them: one row per person and image, conventions and provenance beside it
3. ``body``        poses SMPL-format bodies in bulk; ``geometry`` has its rotations, cameras and crops
4. ``prototypes``  cluster bodies (P3DH K-Means) and label every row with its nearest prototype
5. ``maps``        rasterise IUV maps; make location, joint and displacement maps in UV space
6. ``synthesis``   draws a picture where there is no photograph, and figures for reports
7. ``shards``      put records, pictures, maps and labels into Parquet files, and stream them into torch
8. ``evaluation``  compares predictions with records, on everything and on the tail
``pipeline`` strings the stages together: read it next. A module imports only what stands below it in
``tests/test_import_ranks.py``; errors, progress and the worker pool are at the bottom.
"""
