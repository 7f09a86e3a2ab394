"""Every data set in every format that is read: files of the genuine layout, pictures, and what is true of them.

``LAYOUTS`` maps (dataset, format) to a writer. The files are those of the generators beside each reader's tests; here
each gets one person per picture, and the picture itself.
"""

from __future__ import annotations

from tests.sources import layouts_fits, layouts_mocap, layouts_raw, layouts_spin
from tests.sources.layout import LAYOUTS, ROWS, Layout

__all__ = ["LAYOUTS", "ROWS", "Layout", "layouts_fits", "layouts_mocap", "layouts_raw", "layouts_spin"]
