"""The compiled loops of projecting, rasterising and painting. Called by the modules that check their arguments.

All in one file because numba caches a compiled loop by its own file: were they apart, a loop would go on using the
old code of another file that it calls. Shapes: points (V, 3) float64 = x px, y px, z m; faces (F, 3) int32; face_id
(H, W) int32; the rules of visibility are stated in ``raster``.

Where the time goes, and why the loops are as they are: on a 56 px map some twenty faces fall on one pixel, and nine of
ten cover no pixel centre at all. So a vertex first becomes a **code**, which says between which pixel centres it lies.
A face whose three codes agree in x or in y covers no centre, and is dropped after three loads from a table that fits
the fastest cache; the codes of the others are their boxes of pixels.
"""

from __future__ import annotations

import numpy as np
from numba import njit

BACKGROUND = -1
DEPTH_TIE = 1e-9
"""Relative difference of 1/z below which two depths are the same: 50 nm at 50 m, far above float64's rounding."""

UV_LEVELS = 255
"""U and V in [0, 1] are stored as round(255·U): at most 1/510 off."""

LARGEST_SIDE = 32767
"""px; a code counts half pixels in 16 bits."""

_HALF = 16
_LOW = 0xFFFF


@njit(cache=True, nogil=True, inline="always")
def _edge(ax, ay, bx, by):  # type: ignore[no-untyped-def]
    """Twice the signed area of (pixel centre, a, b), both given relative to the centre."""
    return ax * by - ay * bx


@njit(cache=True, nogil=True, inline="always")
def _code(value, count):  # type: ignore[no-untyped-def]
    """Where ``value`` px lies among the centres ½, 1½, …, count − ½: 2·i + 1 on centre i, 2·i between i − 1 and i.

    Before the first centre it is 0 (also for NaN), after the last 2·count. The first centre at or after the value is
    code >> 1, the last one at or before it (code − 1) >> 1.
    """
    place = value - 0.5
    inside = min(max(place, 0.0), count - 1.0)
    index = np.int32(inside)
    code = 2 * index + 1 + np.int32(inside > index)
    if not place >= 0.0:
        code = np.int32(0)
    if place > count - 1.0:
        code = np.int32(2 * count)
    return code


@njit(cache=True, nogil=True)
def _encode(xs, ys, height, width, codes):  # type: ignore[no-untyped-def]
    """Fill ``codes`` (V,) uint32 with the codes of x (high half) and y (low half)."""
    for v in range(xs.shape[0]):
        codes[v] = np.uint32(_code(xs[v], width)) << np.uint32(_HALF) | np.uint32(_code(ys[v], height))


@njit(cache=True, nogil=True, inline="always")
def _columns(count):  # type: ignore[no-untyped-def]
    return np.empty(count, np.float64), np.empty(count, np.float64), np.empty(count, np.float64)


@njit(cache=True, nogil=True, error_model="numpy")
def _split(points, xs, ys, ws):  # type: ignore[no-untyped-def]
    """``points`` (V, 3) as x, y and 1/z, each (V,); 0 for 1/z at or behind the camera."""
    for v in range(points.shape[0]):
        z = points[v, 2]
        xs[v], ys[v], ws[v] = points[v, 0], points[v, 1], 1.0 / z if z > 0.0 else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _project(vertices, matrix, translation, xs, ys, ws):  # type: ignore[no-untyped-def]
    """x px, y px and 1/z of one body's ``vertices`` (V, 3), each (V,), as ``_split`` has them of ``project_bodies``."""
    tx, ty, tz = translation[0], translation[1], translation[2]
    a, b, c, d, e, f = matrix[0, 0], matrix[0, 1], matrix[0, 2], matrix[1, 0], matrix[1, 1], matrix[1, 2]
    for v in range(vertices.shape[0]):
        z = vertices[v, 2] + tz
        w = 1.0 / z
        x, y = (vertices[v, 0] + tx) * w, (vertices[v, 1] + ty) * w
        xs[v], ys[v], ws[v] = a * x + b * y + c, d * x + e * y + f, w if z > 0.0 else 0.0


@njit(cache=True, nogil=True)
def _box(codes):  # type: ignore[no-untyped-def]
    """Rows and columns (top, past the last, left, past the last) outside of which no face covers a pixel centre."""
    low_x, high_x, low_y, high_y = np.uint32(_LOW), np.uint32(0), np.uint32(_LOW), np.uint32(0)
    for v in range(codes.shape[0]):
        x, y = codes[v] >> np.uint32(_HALF), codes[v] & np.uint32(_LOW)
        low_x, high_x, low_y, high_y = min(low_x, x), max(high_x, x), min(low_y, y), max(high_y, y)
    return (
        np.int64(low_y) >> 1,
        max(np.int64(low_y) >> 1, (np.int64(high_y) + 1) >> 1),
        np.int64(low_x) >> 1,
        max(np.int64(low_x) >> 1, (np.int64(high_x) + 1) >> 1),
    )


@njit(cache=True, nogil=True)
def _seen_faces(xs, ys, ws, codes, faces, kept):  # type: ignore[no-untyped-def]
    """How many faces may cover a pixel centre and show their outside; their numbers, in order, go to ``kept`` (F,).

    Two passes without a branch: nobody can foresee which faces pass, and every wrong guess costs as much as a face.
    """
    some = 0
    for f in range(faces.shape[0]):
        # Unsigned: numba then leaves out its test for negative indices, which costs a tenth of the time.
        ka, kb, kc = codes[np.uint32(faces[f, 0])], codes[np.uint32(faces[f, 1])], codes[np.uint32(faces[f, 2])]
        differ = (ka ^ kb) | (ka ^ kc) | (ka & np.uint32(0x00010001))
        kept[np.uint64(some)] = f
        some += np.int64((differ & np.uint32(0xFFFF0000)) != 0) & np.int64((differ & np.uint32(_LOW)) != 0)
    seen = 0
    for k in range(some):
        f = np.uint32(kept[k])
        a, b, c = np.uint32(faces[f, 0]), np.uint32(faces[f, 1]), np.uint32(faces[f, 2])
        area = (xs[b] - xs[a]) * (ys[c] - ys[a]) - (ys[b] - ys[a]) * (xs[c] - xs[a])
        kept[np.uint64(seen)] = f
        seen += np.int64(area < 0.0) & np.int64(min(ws[a], ws[b], ws[c]) > 0.0)
    return seen


@njit(cache=True, nogil=True, error_model="numpy")
def _add_faces(xs, ys, ws, codes, faces, kept, first_id, top_row, past_row, face_id, nearest):  # type: ignore[no-untyped-def]
    """Draw one body into rows ``top_row`` … ``past_row`` − 1 of a picture that may hold others; face f is
    ``first_id`` + f. nearest: (H, W) float64, 1/z of what each pixel sees, 0 where nothing is; kept (F,): scratch."""
    for k in range(_seen_faces(xs, ys, ws, codes, faces, kept)):
        f = np.uint32(kept[k])
        a, b, c = np.uint32(faces[f, 0]), np.uint32(faces[f, 1]), np.uint32(faces[f, 2])
        ka, kb, kc = codes[a], codes[b], codes[c]
        xa, xb, xc = ka >> np.uint32(_HALF), kb >> np.uint32(_HALF), kc >> np.uint32(_HALF)
        ya, yb, yc = ka & np.uint32(_LOW), kb & np.uint32(_LOW), kc & np.uint32(_LOW)
        left, right = np.int64(min(xa, xb, xc)) >> 1, (np.int64(max(xa, xb, xc)) - 1) >> 1
        top = max(top_row, np.int64(min(ya, yb, yc)) >> 1)
        bottom = min(past_row - 1, (np.int64(max(ya, yb, yc)) - 1) >> 1)
        ax, ay, bx, by, cx, cy = xs[a], ys[a], xs[b], ys[b], xs[c], ys[c]
        per_area = 1.0 / ((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))
        # 1/z is linear in the picture; differences from corner a keep slivers within their corners' depths.
        nearness, slope_b, slope_c = ws[a], (ws[b] - ws[a]) * per_area, (ws[c] - ws[a]) * per_area
        for i in range(np.uint64(top), np.uint64(max(top, bottom + 1))):
            say, sby, scy = ay - (i + 0.5), by - (i + 0.5), cy - (i + 0.5)
            for j in range(np.uint64(left), np.uint64(max(left, right + 1))):
                sax, sbx, scx = ax - (j + 0.5), bx - (j + 0.5), cx - (j + 0.5)
                ea = _edge(sbx, sby, scx, scy)
                eb = _edge(scx, scy, sax, say)
                ec = _edge(sax, say, sbx, sby)
                if ea > 0.0 or eb > 0.0 or ec > 0.0:
                    continue
                inverse = nearness + (eb * slope_b + ec * slope_c)
                if inverse > nearest[i, j] * (1.0 + DEPTH_TIE):
                    nearest[i, j] = inverse
                    face_id[i, j] = first_id + f


@njit(cache=True, nogil=True)
def _clear(face_id, nearest, top, past_row, left, past_column):  # type: ignore[no-untyped-def]
    face_id[top:past_row, left:past_column] = BACKGROUND
    nearest[top:past_row, left:past_column] = 0.0


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _weights_at(xs, ys, ws, a, b, c, x, y):  # type: ignore[no-untyped-def]
    """Perspective-correct barycentric weights of corners b and c (a has the rest) of the face seen at (x, y) px."""
    sax, say, sbx, sby, scx, scy = xs[a] - x, ys[a] - y, xs[b] - x, ys[b] - y, xs[c] - x, ys[c] - y
    wa = _edge(sbx, sby, scx, scy) * ws[a]
    wb = _edge(scx, scy, sax, say) * ws[b]
    wc = _edge(sax, say, sbx, sby) * ws[c]
    scale = 1.0 / (wa + wb + wc)
    return wb * scale, wc * scale


@njit(cache=True, nogil=True, error_model="numpy")
def weights_at(points, a, b, c, x, y):  # type: ignore[no-untyped-def]
    """As ``_weights_at``, for points (V, 3)."""
    sax, say = points[a, 0] - x, points[a, 1] - y
    sbx, sby = points[b, 0] - x, points[b, 1] - y
    scx, scy = points[c, 0] - x, points[c, 1] - y
    wa = _edge(sbx, sby, scx, scy) / points[a, 2]
    wb = _edge(scx, scy, sax, say) / points[b, 2]
    wc = _edge(sax, say, sbx, sby) / points[c, 2]
    total = wa + wb + wc
    return wb / total, wc / total


@njit(cache=True, nogil=True)
def faces_of_body(points, faces, face_id, nearest):  # type: ignore[no-untyped-def]
    """Fill ``face_id`` (H, W) int32 and ``nearest`` (H, W) float64 = 1/z of one body, background and 0 elsewhere."""
    height, width = face_id.shape
    xs, ys, ws = _columns(points.shape[0])
    codes, kept = np.empty(points.shape[0], np.uint32), np.empty(faces.shape[0], np.int32)
    _split(points, xs, ys, ws)
    _encode(xs, ys, height, width, codes)
    _clear(face_id, nearest, 0, height, 0, width)
    _add_faces(xs, ys, ws, codes, faces, kept, 0, 0, height, face_id, nearest)


@njit(cache=True, nogil=True)
def faces_of_bodies(points, faces, face_id, first, last):  # type: ignore[no-untyped-def]
    """Fill ``face_id`` (N, H, W) of bodies ``first`` … ``last`` − 1."""
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
def project_bodies(vertices, matrix, translation, points, first, last):  # type: ignore[no-untyped-def]
    """Fill ``points`` (N, V, 3) float64 with x px, y px, z m of bodies ``first`` … ``last`` − 1."""
    for n in range(first, last):
        tx, ty, tz = translation[n, 0], translation[n, 1], translation[n, 2]
        a, b, c = matrix[n, 0, 0], matrix[n, 0, 1], matrix[n, 0, 2]
        d, e, f = matrix[n, 1, 0], matrix[n, 1, 1], matrix[n, 1, 2]
        for v in range(vertices.shape[1]):
            z = vertices[n, v, 2] + tz
            w = 1.0 / z
            x, y = (vertices[n, v, 0] + tx) * w, (vertices[n, v, 1] + ty) * w
            points[n, v, 0], points[n, v, 1], points[n, v, 2] = a * x + b * y + c, d * x + e * y + f, z


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _level(value):  # type: ignore[no-untyped-def]
    return np.uint8(min(255.0, max(0.0, value * UV_LEVELS + 0.5)))


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _uv_at(xs, ys, ws, faces, face_uv, f, i, j):  # type: ignore[no-untyped-def]
    """U and V of face f at pixel (i, j); face_uv: (F, 3, 2) float64 of the corners."""
    a, b, c = np.uint32(faces[f, 0]), np.uint32(faces[f, 1]), np.uint32(faces[f, 2])
    wb, wc = _weights_at(xs, ys, ws, a, b, c, j + 0.5, i + 0.5)
    # Differences from corner a: a face of one colour keeps it exactly.
    u = face_uv[f, 0, 0] + wb * (face_uv[f, 1, 0] - face_uv[f, 0, 0]) + wc * (face_uv[f, 2, 0] - face_uv[f, 0, 0])
    v = face_uv[f, 0, 1] + wb * (face_uv[f, 1, 1] - face_uv[f, 0, 1]) + wc * (face_uv[f, 2, 1] - face_uv[f, 0, 1])
    return u, v


@njit(cache=True, nogil=True)
def _draw(xs, ys, ws, codes, kept, faces, face_uv, chart, face_id, nearest, iuv):  # type: ignore[no-untyped-def]
    """Fill ``iuv`` (3, H, W) uint8 for one body; face_id and nearest (H, W): scratch, used in the body's box."""
    height, width = face_id.shape
    _encode(xs, ys, height, width, codes)
    top, past_row, left, past_column = _box(codes)
    _clear(face_id, nearest, top, past_row, left, past_column)
    _add_faces(xs, ys, ws, codes, faces, kept, 0, top, past_row, face_id, nearest)
    iuv[:] = 0
    for i in range(np.uint64(top), np.uint64(past_row)):
        for j in range(np.uint64(left), np.uint64(past_column)):
            f = face_id[i, j]
            if f >= 0:
                u, v = _uv_at(xs, ys, ws, faces, face_uv, np.uint32(f), i, j)
                iuv[0, i, j], iuv[1, i, j], iuv[2, i, j] = chart[f], _level(u), _level(v)


@njit(cache=True, nogil=True)
def render_points(points, faces, face_uv, chart, iuv, first, last):  # type: ignore[no-untyped-def]
    face_id = np.empty(iuv.shape[2:], np.int32)
    nearest = np.empty(iuv.shape[2:], np.float64)
    xs, ys, ws = _columns(points.shape[1])
    codes, kept = np.empty(points.shape[1], np.uint32), np.empty(faces.shape[0], np.int32)
    for n in range(first, last):
        _split(points[n], xs, ys, ws)
        _draw(xs, ys, ws, codes, kept, faces, face_uv, chart, face_id, nearest, iuv[n])


@njit(cache=True, nogil=True)
def render_bodies(vertices, matrix, translation, faces, face_uv, chart, iuv, first, last):  # type: ignore[no-untyped-def]
    face_id = np.empty(iuv.shape[2:], np.int32)
    nearest = np.empty(iuv.shape[2:], np.float64)
    xs, ys, ws = _columns(vertices.shape[1])
    codes, kept = np.empty(vertices.shape[1], np.uint32), np.empty(faces.shape[0], np.int32)
    for n in range(first, last):
        _project(vertices[n], matrix[n], translation[n], xs, ys, ws)
        _draw(xs, ys, ws, codes, kept, faces, face_uv, chart, face_id, nearest, iuv[n])


@njit(cache=True, nogil=True)
def open_points(points, faces, face_uv, chart, index, uv, first, last):  # type: ignore[no-untyped-def]
    """As ``render_points``, into ``index`` (N, H, W) uint8 and ``uv`` (N, 2, H, W) float32."""
    height, width = index.shape[1:]
    face_id = np.empty((1, height, width), np.int32)
    xs, ys, ws = _columns(points.shape[1])
    for n in range(first, last):
        faces_of_bodies(points[n : n + 1], faces, face_id, 0, 1)
        _split(points[n], xs, ys, ws)
        for i in range(height):
            for j in range(width):
                f = face_id[0, i, j]
                index[n, i, j] = chart[f] if f >= 0 else 0
                uv[n, 0, i, j] = uv[n, 1, i, j] = 0.0
                if f >= 0:
                    uv[n, 0, i, j], uv[n, 1, i, j] = _uv_at(xs, ys, ws, faces, face_uv, f, i, j)


@njit(cache=True, nogil=True)
def people_rows(points, faces, face_uv, chart, face_id, nearest, iuv, person, first, last):  # type: ignore[no-untyped-def]
    """Rows ``first`` … ``last`` − 1 of a picture of all bodies ``points`` (P, V, 3).

    face_id (H, W) int64 all background and nearest (H, W) zeros: scratch; iuv (3, H, W), person (H, W) int32: results.
    """
    count = faces.shape[0]
    height, width = person.shape
    xs, ys, ws = np.empty(points.shape[:2]), np.empty(points.shape[:2]), np.empty(points.shape[:2])
    codes, kept = np.empty(points.shape[1], np.uint32), np.empty(faces.shape[0], np.int32)
    for p in range(points.shape[0]):
        _split(points[p], xs[p], ys[p], ws[p])
        _encode(xs[p], ys[p], height, width, codes)
        _add_faces(xs[p], ys[p], ws[p], codes, faces, kept, p * count, first, last, face_id, nearest)
    for i in range(first, last):
        for j in range(width):
            if face_id[i, j] < 0:
                person[i, j] = BACKGROUND
                iuv[0, i, j] = iuv[1, i, j] = iuv[2, i, j] = 0
                continue
            p, f = face_id[i, j] // count, face_id[i, j] % count
            u, v = _uv_at(xs[p], ys[p], ws[p], faces, face_uv, f, i, j)
            person[i, j] = p
            iuv[0, i, j], iuv[1, i, j], iuv[2, i, j] = chart[f], _level(u), _level(v)
