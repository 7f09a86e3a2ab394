"""Geometry in NumPy. **The conventions of the whole package are stated here, once.**

*Units.* Metres, radians, seconds, pixels. Images are RGB. Vectors are columns; frames are right-handed.

*Camera frame.* x to the right of the image, y down, z forward, away from the camera. *Body frame* (SMPL): y up, x to
the person's left, z out of the chest. An upright person who faces the camera has ``global_orient`` = π about x.

*Pixels.* The centre of the pixel in row i and column j is at (x, y) = (j + 0.5, i + 0.5); the pixel covers
[j, j+1) × [i, i+1). The image's corners are (0, 0) and (width, height), so resizing an image by k multiplies its
coordinates by k.

*Rotations* of a joint are relative to its parent. ``axis_angle`` (…, 3): the direction is the axis, the length the
angle. ``quat_wxyz`` (…, 4): unit, real part first; q and −q are the same rotation, and this package returns the one
with w ≥ 0. ``rotmat`` (…, 3, 3): a rotated vector is ``R @ v``. Three layouts of the 6D form (Zhou et al., CVPR 2019)
are in use, for R = [[a, b, c], [d, e, f], [g, h, i]]:

    ``rot6d``          a b d e g h    two columns interleaved: SPIN, PyMAF, DaNet, CLIFF; ours unless named
    ``rot6d_columns``  a d g b e h    two columns, one after the other: 4D-Humans, TokenHMR
    ``rot6d_rows``     a b c d e f    two rows: PyTorch3D

*Crop.* A square of side b px round the person (the tight box's longer side times the data set's expansion), mapped
onto 224 × 224 px. The *region* stored in shards has the same centre and side 1.8·b.

*Crop camera* (s, tx, ty): a camera of focal length 5000 px that looks at the 224 px crop, with the body in its own
frame (``transl`` = 0) moved by t = (tx, ty, 2·5000 / (224·s)): x_px = 5000·(X + t_x) / (Z + t_z) + 112, y alike. Far
away this is the weak perspective x_norm = s·(X + t_x) in [−1, 1] of SPIN. PM-Net's Eq. 3 writes s·X + t instead, with
another t: ``camera.pmnet_to_crop_camera`` converts at the border. *Full-image camera*: focal (fx, fy) and principal
point (cx, cy) in px.

*Batches.* Leading ``...`` dimensions are free and broadcast. float32 in gives float32 out, float64 gives float64.
"""
