"""Seedable value noise for fabrics, skin, foliage and ground. Called by the pixel kernels of this folder.

Smooth random functions of a place, without tables or state: the same place gives the same value on every machine.
A seed is an offset added to the place by the caller.
"""

from __future__ import annotations

from math import floor

import numpy as np
from numba import njit

_MASK = 0xFFFFFFFF


@njit(cache=True, nogil=True, inline="always")
def lattice(i, j, k):  # type: ignore[no-untyped-def]
    """A number in [0, 1) for a lattice point; multiplicative hash with two rounds of mixing."""
    h = (i * 374761393 + j * 668265263 + k * 1442695041) & _MASK
    h = ((h ^ (h >> 13)) * 1274126177) & _MASK
    h = ((h ^ (h >> 15)) * 2147483059) & _MASK
    return (h ^ (h >> 16)) / 4294967296.0


@njit(cache=True, nogil=True, inline="always")
def hash64(value):  # type: ignore[no-untyped-def]
    """64 random bits (uint64) of a uint64: the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@njit(cache=True, nogil=True)
def noise3(x, y, z):  # type: ignore[no-untyped-def]
    """Value noise in [-1, 1] with features of about one unit."""
    fx, fy, fz = floor(x), floor(y), floor(z)
    u, v, w = x - fx, y - fy, z - fz
    u, v, w = u * u * (3.0 - 2.0 * u), v * v * (3.0 - 2.0 * v), w * w * (3.0 - 2.0 * w)
    i, j, k = int(fx), int(fy), int(fz)
    low = _mix(
        _mix(lattice(i, j, k), lattice(i + 1, j, k), u), _mix(lattice(i, j + 1, k), lattice(i + 1, j + 1, k), u), v
    )
    high = _mix(
        _mix(lattice(i, j, k + 1), lattice(i + 1, j, k + 1), u),
        _mix(lattice(i, j + 1, k + 1), lattice(i + 1, j + 1, k + 1), u),
        v,
    )
    return 2.0 * _mix(low, high, w) - 1.0


@njit(cache=True, nogil=True)
def noise2(x, y, seed):  # type: ignore[no-untyped-def]
    """Value noise in [-1, 1] of the plane; ``seed`` is a whole number."""
    fx, fy = floor(x), floor(y)
    u, v = x - fx, y - fy
    u, v = u * u * (3.0 - 2.0 * u), v * v * (3.0 - 2.0 * v)
    i, j, k = int(fx), int(fy), int(seed)
    return (
        2.0
        * _mix(
            _mix(lattice(i, j, k), lattice(i + 1, j, k), u), _mix(lattice(i, j + 1, k), lattice(i + 1, j + 1, k), u), v
        )
        - 1.0
    )


@njit(cache=True, nogil=True, inline="always")
def _mix(a, b, t):  # type: ignore[no-untyped-def]
    return a + (b - a) * t
