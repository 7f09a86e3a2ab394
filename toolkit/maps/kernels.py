"""The compiled loops of projecting, rasterising and painting. Called by ``projection``, ``raster`` and ``iuv``.

All in one file because numba caches a compiled loop by its own file: were they apart, a loop would go on using the
old code of another file that it calls. Shapes: points (V, 3) float64 = x px, y px, z m; faces (F, 3) int32; face_id
(H, W) int32; the rules of visibility are stated in ``raster``.
"""

from __future__ import annotations

import numpy as np
from numba import njit

BACKGROUND = -1
DEPTH_TIE = 1e-9
"""Relative difference of 1/z below which two depths are the same: 50 nm at 50 m, far above float64's rounding."""

UV_LEVELS = 255
"""U and V in [0, 1] are stored as round(255·U): at most 1/510 off."""


@njit(cache=True, nogil=True, inline="always")
def _edge(ax, ay, bx, by):  # type: ignore[no-untyped-def]
    """Twice the signed area of (pixel centre, a, b), both given relative to the centre."""
    return ax * by - ay * bx


@njit(cache=True, nogil=True, error_model="numpy")
def _add_faces(points, faces, first_id, top_row, past_row, face_id, nearest):  # type: ignore[no-untyped-def]
    """Draw one body into rows ``top_row`` … ``past_row`` − 1 of a picture that may hold others; face f is
    ``first_id`` + f. nearest: (H, W) float64, 1/z of what each pixel sees, 0 where nothing is."""
    width = face_id.shape[1]
    for f in range(faces.shape[0]):
        # Unsigned: numba then leaves out its test for negative indices, which costs a tenth of the time.
        a, b, c = np.uint32(faces[f, 0]), np.uint32(faces[f, 1]), np.uint32(faces[f, 2])
        za, zb, zc = points[a, 2], points[b, 2], points[c, 2]
        if not (za > 0.0 and zb > 0.0 and zc > 0.0):
            continue
        ax, ay = points[a, 0], points[a, 1]
        bx, by = points[b, 0], points[b, 1]
        cx, cy = points[c, 0], points[c, 1]
        if not (bx - ax) * (cy - ay) - (by - ay) * (cx - ax) < 0.0:
            continue
        left = max(0.0, np.ceil(min(ax, bx, cx) - 0.5))
        right = min(width - 1.0, np.floor(max(ax, bx, cx) - 0.5))
        top = max(float(top_row), np.ceil(min(ay, by, cy) - 0.5))
        bottom = min(past_row - 1.0, np.floor(max(ay, by, cy) - 0.5))
        if not (left <= right and top <= bottom):
            continue
        ra, rb, rc = 1.0 / za, 1.0 / zb, 1.0 / zc
        for i in range(int(top), int(bottom) + 1):
            say, sby, scy = ay - (i + 0.5), by - (i + 0.5), cy - (i + 0.5)
            for j in range(int(left), int(right) + 1):
                sax, sbx, scx = ax - (j + 0.5), bx - (j + 0.5), cx - (j + 0.5)
                ea = _edge(sbx, sby, scx, scy)
                eb = _edge(scx, scy, sax, say)
                ec = _edge(sax, say, sbx, sby)
                if ea > 0.0 or eb > 0.0 or ec > 0.0:
                    continue
                inverse = (ea * ra + eb * rb + ec * rc) / (ea + eb + ec)
                if inverse > nearest[i, j] * (1.0 + DEPTH_TIE):
                    nearest[i, j] = inverse
                    face_id[i, j] = first_id + f


@njit(cache=True, nogil=True)
def faces_of_body(points, faces, face_id, nearest):  # type: ignore[no-untyped-def]
    """Fill ``face_id`` (H, W) int32 for one body. points: (V, 3) float64 x px, y px, z m; nearest: (H, W) scratch."""
    face_id[:] = BACKGROUND
    nearest[:] = 0.0
    _add_faces(points, faces, 0, 0, face_id.shape[0], face_id, nearest)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def weights_at(points, a, b, c, x, y):  # type: ignore[no-untyped-def]
    """Perspective-correct barycentric weights of corners b and c (a has the rest) of the face seen at (x, y) px."""
    sax, say = points[a, 0] - x, points[a, 1] - y
    sbx, sby = points[b, 0] - x, points[b, 1] - y
    scx, scy = points[c, 0] - x, points[c, 1] - y
    wa = _edge(sbx, sby, scx, scy) / points[a, 2]
    wb = _edge(scx, scy, sax, say) / points[b, 2]
    wc = _edge(sax, say, sbx, sby) / points[c, 2]
    total = wa + wb + wc
    return wb / total, wc / total


@njit(cache=True, nogil=True)
def faces_of_bodies(points, faces, face_id, first, last):  # type: ignore[no-untyped-def]
    nearest = np.empty(face_id.shape[1:], np.float64)
    for n in range(first, last):
        faces_of_body(points[n], faces, face_id[n], nearest)


@njit(cache=True, nogil=True)
def weights_of_bodies(points, faces, face_id, weights, first, last):  # type: ignore[no-untyped-def]
    for n in range(first, last):
        for i in range(face_id.shape[1]):
            for j in range(face_id.shape[2]):
                f = face_id[n, i, j]
                if f < 0:
                    weights[n, i, j, :] = 0.0
                    continue
                wb, wc = weights_at(points[n], faces[f, 0], faces[f, 1], faces[f, 2], j + 0.5, i + 0.5)
                weights[n, i, j, 0] = 1.0 - wb - wc
                weights[n, i, j, 1] = wb
                weights[n, i, j, 2] = wc


@njit(cache=True, nogil=True, error_model="numpy")
def project_body(vertices, matrix, translation, points):  # type: ignore[no-untyped-def]
    """Fill ``points`` (V, 3) float64 with x px, y px, z m of one body's ``vertices`` (V, 3)."""
    tx, ty, tz = translation[0], translation[1], translation[2]
    for v in range(vertices.shape[0]):
        z = vertices[v, 2] + tz
        x = (vertices[v, 0] + tx) / z
        y = (vertices[v, 1] + ty) / z
        points[v, 0] = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]
        points[v, 1] = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]
        points[v, 2] = z


@njit(cache=True, nogil=True)
def project_bodies(vertices, matrix, translation, points, first, last):  # type: ignore[no-untyped-def]
    for n in range(first, last):
        project_body(vertices[n], matrix[n], translation[n], points[n])


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _level(value):  # type: ignore[no-untyped-def]
    return np.uint8(min(255.0, max(0.0, np.floor(value * UV_LEVELS + 0.5))))


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _uv_at(points, faces, face_uv, f, i, j):  # type: ignore[no-untyped-def]
    """U and V of face f at pixel (i, j); face_uv: (F, 3, 2) float64 of the corners."""
    wb, wc = weights_at(points, faces[f, 0], faces[f, 1], faces[f, 2], j + 0.5, i + 0.5)
    # Differences from corner a: a face of one colour keeps it exactly.
    u = face_uv[f, 0, 0] + wb * (face_uv[f, 1, 0] - face_uv[f, 0, 0]) + wc * (face_uv[f, 2, 0] - face_uv[f, 0, 0])
    v = face_uv[f, 0, 1] + wb * (face_uv[f, 1, 1] - face_uv[f, 0, 1]) + wc * (face_uv[f, 2, 1] - face_uv[f, 0, 1])
    return u, v


@njit(cache=True, nogil=True)
def _paint(points, faces, face_uv, chart, face_id, iuv):  # type: ignore[no-untyped-def]
    """Fill ``iuv`` (3, H, W) uint8 from the face that each pixel sees."""
    for i in range(face_id.shape[0]):
        for j in range(face_id.shape[1]):
            f = face_id[i, j]
            if f < 0:
                iuv[0, i, j] = iuv[1, i, j] = iuv[2, i, j] = 0
                continue
            u, v = _uv_at(points, faces, face_uv, f, i, j)
            iuv[0, i, j] = chart[f]
            iuv[1, i, j] = _level(u)
            iuv[2, i, j] = _level(v)


@njit(cache=True, nogil=True)
def open_points(points, faces, face_uv, chart, index, uv, first, last):  # type: ignore[no-untyped-def]
    """As ``render_points``, into ``index`` (N, H, W) uint8 and ``uv`` (N, 2, H, W) float32."""
    face_id = np.empty(index.shape[1:], np.int32)
    nearest = np.empty(index.shape[1:], np.float64)
    for n in range(first, last):
        faces_of_body(points[n], faces, face_id, nearest)
        for i in range(face_id.shape[0]):
            for j in range(face_id.shape[1]):
                f = face_id[i, j]
                if f < 0:
                    index[n, i, j] = 0
                    uv[n, 0, i, j] = uv[n, 1, i, j] = 0.0
                    continue
                index[n, i, j] = chart[f]
                uv[n, 0, i, j], uv[n, 1, i, j] = _uv_at(points[n], faces, face_uv, f, i, j)


@njit(cache=True, nogil=True)
def people_rows(points, faces, face_uv, chart, face_id, nearest, iuv, person, first, last):  # type: ignore[no-untyped-def]
    """Rows ``first`` … ``last`` − 1 of a picture of all bodies ``points`` (P, V, 3).

    face_id (H, W) int64 all background and nearest (H, W) zeros: scratch; iuv (3, H, W), person (H, W) int32: results.
    """
    count = faces.shape[0]
    for p in range(points.shape[0]):
        _add_faces(points[p], faces, p * count, first, last, face_id, nearest)
    for i in range(first, last):
        for j in range(person.shape[1]):
            if face_id[i, j] < 0:
                person[i, j] = BACKGROUND
                iuv[0, i, j] = iuv[1, i, j] = iuv[2, i, j] = 0
                continue
            p, f = face_id[i, j] // count, face_id[i, j] % count
            u, v = _uv_at(points[p], faces, face_uv, f, i, j)
            person[i, j] = p
            iuv[0, i, j] = chart[f]
            iuv[1, i, j] = _level(u)
            iuv[2, i, j] = _level(v)


@njit(cache=True, nogil=True)
def render_points(points, faces, face_uv, chart, iuv, first, last):  # type: ignore[no-untyped-def]
    face_id = np.empty(iuv.shape[2:], np.int32)
    nearest = np.empty(iuv.shape[2:], np.float64)
    for n in range(first, last):
        faces_of_body(points[n], faces, face_id, nearest)
        _paint(points[n], faces, face_uv, chart, face_id, iuv[n])


@njit(cache=True, nogil=True)
def render_bodies(vertices, matrix, translation, faces, face_uv, chart, iuv, first, last):  # type: ignore[no-untyped-def]
    points = np.empty(vertices.shape[1:], np.float64)
    face_id = np.empty(iuv.shape[2:], np.int32)
    nearest = np.empty(iuv.shape[2:], np.float64)
    for n in range(first, last):
        project_body(vertices[n], matrix[n], translation[n], points)
        faces_of_body(points, faces, face_id, nearest)
        _paint(points, faces, face_uv, chart, face_id, iuv[n])
