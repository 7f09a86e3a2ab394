"""NVIDIA warp on the CPU as a renderer: the mesh's tree is refitted to every body, and one ray is cast per pixel.

Imported only by ``renderers.py``, and only when it is asked for: importing warp takes a while.
"""

from __future__ import annotations

import warp as wp

wp.config.log_level = wp.LOG_ERROR
wp.config.optimization_level = 3


@wp.kernel
def cast(
    mesh: wp.uint64,
    camera: wp.vec3,
    shift: wp.vec3,
    size: int,
    uv: wp.array(dtype=wp.vec2),  # type: ignore[valid-type]
    chart: wp.array(dtype=wp.uint8),  # type: ignore[valid-type]
    reach: wp.vec2,
    ids: wp.array(dtype=wp.int32),  # type: ignore[valid-type]
    iuv: wp.array(dtype=wp.uint8),  # type: ignore[valid-type]
):
    """One pixel: face seen, or -1; chart, U and V as uint8, planes one after another.

    camera: focal length and principal point, px; shift: added to the mesh to bring it before the camera; uv: (3 F,)
    of the faces' corners; reach: depths between which rays look.
    """
    t = wp.tid()
    x = (float(t % size) + 0.5 - camera[1]) / camera[0]
    y = (float(t / size) + 0.5 - camera[2]) / camera[0]
    ray = wp.vec3(x, y, 1.0)
    found = wp.mesh_query_ray(mesh, ray * reach[0] - shift, ray, reach[1] - reach[0])
    area = size * size
    if not found.result:
        ids[t] = -1
        iuv[t] = wp.uint8(0)
        iuv[area + t] = wp.uint8(0)
        iuv[2 * area + t] = wp.uint8(0)
        return
    # u belongs to the first corner, v to the second
    f = found.face
    at = found.u * uv[3 * f] + found.v * uv[3 * f + 1] + (1.0 - found.u - found.v) * uv[3 * f + 2]
    ids[t] = f
    iuv[t] = chart[f]
    iuv[area + t] = wp.uint8(at[0] * 255.0 + 0.5)
    iuv[2 * area + t] = wp.uint8(at[1] * 255.0 + 0.5)
