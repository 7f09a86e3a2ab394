"""Variables of MATLAB files, 5 to 7.2, by SciPy; nothing in them is run.

In: a path; out: NumPy arrays, object arrays for cells, and structured ones for structs, as SciPy returns them. Called
by the readers of atlases (``maps``) and of datasets (``sources``) that come as ``.mat``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import open_input


def read_variables(path: Path, names: Sequence[str], remedy: str = "") -> dict[str, NDArray[Any]]:
    """Some variables of a MATLAB 5 file; the others are not read into memory.

    Args:
        path: of the file.
        names: the variables.
        remedy: said with every error: which file is expected.

    Raises:
        InputError: missing, truncated, or another kind of file; or without one of the variables.
    """
    from scipy.io import loadmat

    if not Path(path).is_file():
        raise InputError(path, "no such file", remedy)
    with open_input(path) as stream:
        try:
            content = loadmat(stream, variable_names=list(names))
        except NotImplementedError:
            raise InputError(path, "is a MATLAB 7.3 file, expected one of MATLAB 5 to 7.2", remedy) from None
        except Exception as error:  # scipy raises ValueError, TypeError, zlib.error … on damaged files
            raise InputError(path, f"is not a readable MATLAB 5 file: {_first_line(error)}", remedy) from None
    missing = [name for name in names if name not in content]
    if missing:
        raise InputError(path, f"has no variable {', '.join(missing)}", remedy)
    return {name: content[name] for name in names}


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
