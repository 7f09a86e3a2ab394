"""Other renderers that can make IUV maps on a CPU, behind one face: for ``raster.py``.

Everyone gets the same ``Frames`` and leaves one picture for every body in ``out``, in the layout that is cheapest for
it; a new mesh for every frame. A renderer that is not installed, or has no OpenGL to talk to, raises when it is made.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.maps.atlas import Atlas
from hmrtk.toolkit.maps.projection import Projection

REACH = 1.5
"""Metres before and behind the body's origin between which depth is resolved."""
BACKGROUND_ID = 2**14 - 1


@dataclass(frozen=True)
class Frames:
    """What is rendered: (N, V, 3) float32 metres, N crop cameras, a square of ``size`` px, and the atlas."""

    vertices: NDArray[np.float32]
    projection: Projection
    size: int
    atlas: Atlas

    def __len__(self) -> int:
        return len(self.vertices)

    @cached_property
    def flat_uv(self) -> NDArray[np.float32]:
        """(3 F, 2) of the faces' corners."""
        return self.atlas.face_uv.reshape(-1, 2).astype(np.float32)


VERTEX_SHADER = """#version 430
in vec3 place; in vec2 uv; in uint chart;
uniform vec3 row_x, row_y, shift; uniform vec2 depth;
out vec2 uv_at; flat out uint chart_at;
void main() {
    vec3 p = place + shift;
    gl_Position = vec4(dot(row_x, p), dot(row_y, p), depth.x * p.z + depth.y, p.z);
    uv_at = uv; chart_at = chart;
}"""


class OpenGL:
    """moderngl on EGL without a window; with Mesa's llvmpipe on a machine without a GPU.

    Corners of the atlas are the mesh's vertices, so that charts and U, V are plain attributes. ``fragment`` says what
    a pixel holds: 4 bytes that need no unpacking, or one 32-bit integer.
    """

    FRAGMENT: ClassVar[str]
    COMPONENTS: ClassVar[int]
    DTYPE: ClassVar[str]
    PIXEL: ClassVar[type]

    def __init__(self, frames: Frames) -> None:
        import moderngl

        # Mesa then draws in the calling thread: its own threads, two here, gain nothing on pictures this small and
        # halve the speed whenever both end up on one core.
        os.environ.setdefault("LP_NUM_THREADS", "0")
        self.frames, size = frames, (frames.size, frames.size)
        self.context: Any = moderngl.create_context(standalone=True, backend="egl")
        self.name = self.context.info["GL_RENDERER"]
        shader = "#version 430\nin vec2 uv_at; flat in uint chart_at;\n" + self.FRAGMENT
        self.program = self.context.program(vertex_shader=VERTEX_SHADER, fragment_shader=shader)
        texture = self.context.texture(size, self.COMPONENTS, dtype=self.DTYPE)
        self.target = self.context.framebuffer([texture], self.context.depth_renderbuffer(size))
        self.corners = np.empty((len(frames.atlas.corner_uv), 3), np.float32)
        self.buffer = self.context.buffer(reserve=self.corners.nbytes, dynamic=True)
        self.array = self._vertex_array()
        self.context.enable(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        self.context.front_face, self.context.cull_face = "cw", "back"  # rows run downwards
        self.out = np.empty((len(frames), frames.size, frames.size, self.COMPONENTS), self.PIXEL)

    def _vertex_array(self) -> Any:
        atlas = self.frames.atlas
        fixed = np.zeros(len(atlas.corner_uv), [("uv", "f4", 2), ("chart", "u4")])
        fixed["uv"] = atlas.corner_uv
        fixed["chart"][atlas.corner_faces.ravel()] = np.repeat(atlas.chart, 3)
        used = "chart" in self.program  # the compiler drops what the picture does not show
        names, layout = (["uv", "chart"], "2f 1u4") if used else (["uv"], "2f 4x")
        buffers = [(self.buffer, "3f", "place"), (self.context.buffer(fixed.tobytes()), layout, *names)]
        faces = self.context.buffer(atlas.corner_faces.astype(np.int32).tobytes())
        return self.context.vertex_array(self.program, buffers, faces, index_element_size=4)

    def draw(self) -> None:
        self.draw_some(self.frames.vertices, 0)

    def draw_some(self, vertices: NDArray[np.float32], first: int) -> None:
        """Draw (n, V, 3) ``vertices`` through the cameras from number ``first`` on."""
        with self.context:
            self.target.use()
            for n, body in enumerate(vertices, first):
                np.take(body, self.frames.atlas.corner_vertices, axis=0, out=self.corners, mode="clip")
                self.buffer.write(self.corners)
                for name, value in self._uniforms(n).items():
                    self.program[name].value = value
                self.target.clear()
                self.array.render()
                self.target.read_into(self.out[n], components=self.COMPONENTS, dtype=self.DTYPE, alignment=1)

    def _uniforms(self, n: int) -> dict[str, tuple[float, ...]]:
        rows = 2 * self.frames.projection.matrix[n] / self.frames.size
        rows[:, 2] -= 1
        shift = self.frames.projection.translation[n]
        near, far = shift[2] - REACH, shift[2] + REACH
        depth = ((far + near) / (far - near), -2 * far * near / (far - near))
        return {"row_x": tuple(rows[0]), "row_y": tuple(rows[1]), "shift": tuple(shift), "depth": depth}

    def face_ids(self) -> NDArray[np.int32] | None:
        return None

    def iuv(self) -> NDArray[np.uint8] | None:
        return None


class OpenGLColours(OpenGL):
    """Chart, U and V as the red, green and blue of an 8-bit picture: the cheapest for OpenGL."""

    FRAGMENT = "out vec4 pixel; void main() { pixel = vec4(float(chart_at) / 255.0, uv_at, 0.0); }"
    COMPONENTS, DTYPE, PIXEL = 4, "f1", np.uint8

    def iuv(self) -> NDArray[np.uint8] | None:
        return np.ascontiguousarray(self.out[..., :3].transpose(0, 3, 1, 2))


class OpenGLFaces(OpenGL):
    """Face number (14 bits), U and V (9 bits each) in an integer texture of 32 bits."""

    FRAGMENT = (
        "out uint pixel; void main() { pixel = uint(gl_PrimitiveID + 1)"
        " | uint(uv_at.x * 511.0 + 0.5) << 14 | uint(uv_at.y * 511.0 + 0.5) << 23; }"
    )
    COMPONENTS, DTYPE, PIXEL = 1, "u4", np.uint32

    def face_ids(self) -> NDArray[np.int32] | None:
        return (self.out[..., 0] & BACKGROUND_ID).astype(np.int32) - 1


class Warp:
    """``Mesh.refit`` and one ray per pixel, on the CPU, in one thread (warp has no more there)."""

    def __init__(self, frames: Frames) -> None:
        import warp as wp
        from warp_renderer import cast

        self.frames, self.name, self.wp, self.cast = frames, f"warp {wp.config.version}", wp, cast
        faces = wp.array(frames.atlas.vertices_faces.ravel(), dtype=wp.int32, device="cpu")
        self.points = wp.array(frames.vertices[0], dtype=wp.vec3, device="cpu")
        self.mesh = wp.Mesh(self.points, faces)
        self.uv = wp.array(frames.flat_uv, dtype=wp.vec2, device="cpu")
        self.chart = wp.array(frames.atlas.chart, dtype=wp.uint8, device="cpu")
        area = frames.size**2
        self.ids = np.empty((len(frames), area), np.int32)
        self.out = np.empty((len(frames), 3 * area), np.uint8)
        self.places = [
            (
                wp.array(i, dtype=wp.int32, device="cpu", copy=False),
                wp.array(o, dtype=wp.uint8, device="cpu", copy=False),
            )
            for i, o in zip(self.ids, self.out, strict=True)
        ]

    def draw(self) -> None:
        wp, frames = self.wp, self.frames
        for n in range(len(frames)):
            self.points.numpy()[:] = frames.vertices[n]
            self.mesh.refit()
            matrix, shift = frames.projection.matrix[n], frames.projection.translation[n]
            camera = wp.vec3(matrix[0, 0], matrix[0, 2], matrix[1, 2])
            reach = wp.vec2(shift[2] - REACH, shift[2] + REACH)
            given = [self.mesh.id, camera, wp.vec3(*shift), frames.size, self.uv, self.chart, reach]
            wp.launch(self.cast, dim=frames.size**2, inputs=given, outputs=list(self.places[n]), device="cpu")

    def face_ids(self) -> NDArray[np.int32] | None:
        return self.ids.reshape(-1, self.frames.size, self.frames.size)

    def iuv(self) -> NDArray[np.uint8] | None:
        return self.out.reshape(-1, 3, self.frames.size, self.frames.size)


class Embree:
    """Intel's ray caster through embreex: a new scene for every body, face numbers only."""

    def __init__(self, frames: Frames) -> None:
        from embreex import rtcore_scene
        from embreex.mesh_construction import TriangleMesh

        self.frames, self.name, self.scene, self.mesh = frames, "embreex", rtcore_scene.EmbreeScene, TriangleMesh
        self.out = np.empty((len(frames), frames.size, frames.size), np.int32)
        centre = np.arange(frames.size, dtype=np.float32) + 0.5
        self.pixels = np.stack(np.meshgrid(centre, centre), axis=-1).reshape(-1, 2)

    def draw(self) -> None:
        frames, faces = self.frames, self.frames.atlas.vertices_faces
        rays = np.ones((len(self.pixels), 3), np.float32)
        for n in range(len(frames)):
            matrix, shift = frames.projection.matrix[n], frames.projection.translation[n]
            rays[:, :2] = (self.pixels - matrix[:, 2]) / matrix[0, 0]
            origin = (rays * (shift[2] - REACH) - shift).astype(np.float32)
            scene = self.scene()
            self.mesh(scene, frames.vertices[n], faces)
            self.out[n] = scene.run(origin, rays).reshape(frames.size, frames.size)

    def face_ids(self) -> NDArray[np.int32] | None:
        return self.out

    def iuv(self) -> NDArray[np.uint8] | None:
        return None


PEERS: dict[str, type] = {
    "moderngl, chart + U + V, 8 bits each": OpenGLColours,
    "moderngl, face + U + V, 32-bit integer": OpenGLFaces,
    "warp, face and chart + U + V": Warp,
    "embreex, face": Embree,
}


def renderers(frames: Frames, wanted: tuple[str, ...] = tuple(PEERS)) -> tuple[dict[str, Any], dict[str, str]]:
    """The peers that work here, and why the others do not."""
    found: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for name in wanted:
        try:
            found[name] = PEERS[name](frames)
            found[name].draw()
        except Exception as error:  # no wheel, no driver, no OpenGL: each library has its own way to say so
            found.pop(name, None)
            missing[name] = f"{type(error).__name__}: {error}".splitlines()[0]
    return found, missing
