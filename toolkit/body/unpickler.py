"""Reads the arrays of an SMPL ``.pkl`` without running anything in it, and without chumpy.

The pickle machine is allowed to *record* a short list of classes (numpy, scipy.sparse, chumpy): which class, its
arguments and its state. Any other name stops the reading. ``array_value`` then rebuilds numbers from the records,
``plain_value`` whole structures of numbers and text; numpy and scipy never see a pickled state. ``smpl_file``, the
readers of pickled datasets (``records/fields``) and of joblib's files (``records/joblib_file``) are the callers.
"""

from __future__ import annotations

import functools
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError

MAX_DEPTH = 16
"""chumpy objects nest two or three deep; more is a cycle or an attack."""

_RECORDED = re.compile(
    r"chumpy(\.\w+)*\.\w+"
    r"|scipy\.sparse(\.\w+)*\.(csc|csr)_(matrix|array)"
    r"|numpy\.(ndarray|dtype)"
    r"|numpy\.(core|_core)\.multiarray\.(_reconstruct|scalar)"
    r"|numpy\.(core|_core)\.numeric\._frombuffer"
    r"|numpy\.matrixlib\.defmatrix\.matrix"
    r"|(copy_reg|copyreg)\._reconstructor"
    r"|_codecs\.encode"
    r"|(__builtin__|builtins)\.(object|set|frozenset|bytearray|bytes|dict|list)"
)
"""Full names as Python 2 and 3 and old and new NumPy/SciPy write them."""

_NUMBER = re.compile(r"[<>|=]?([fiub])([1248])")
_TEXT = re.compile(r"[<>|=]?([US])([0-9]{1,5})")
_OBJECT = re.compile(r"[|=]?O[48]?")


class Recorded:
    """What a pickle says about one object. Nothing is called and nothing is imported."""

    origin = ""

    def __new__(cls, *args: Any) -> Recorded:
        record = super().__new__(cls)
        record.args, record.state = args, None
        return record

    args: tuple[Any, ...]
    state: Any

    def __setstate__(self, state: Any) -> None:
        self.state = state


class DefaultDict(dict[Any, Any]):
    """What stands for ``collections.defaultdict``: a dictionary; what would make missing values is dropped."""

    def __init__(self, *factory: Any) -> None:
        super().__init__()


class RecordingUnpickler(pickle.Unpickler):
    """The pickle machine with nothing in it but plain values and ``Recorded`` objects."""

    def __init__(self, stream: Any, place: str, expected: str) -> None:
        super().__init__(stream, encoding="latin1")
        self._place, self._expected = place, expected

    def find_class(self, module: str, name: str) -> Any:
        origin = f"{module}.{name}"
        if origin == "collections.OrderedDict":
            return OrderedDict
        if origin == "collections.defaultdict":
            return DefaultDict
        if not _RECORDED.fullmatch(origin):
            raise InputError(
                self._place, f"holds a {_shown(origin)}, which hmrtk does not load", f"expected {self._expected}"
            )
        return _recorded_class(origin)


@functools.lru_cache(maxsize=256)
def _recorded_class(origin: str) -> type[Recorded]:
    return type("Recorded", (Recorded,), {"origin": origin})


def read_pickle(stream: IO[bytes], place: str, expected: str = "an SMPL body") -> dict[str, Any]:
    """The top-level dictionary of a pickle: plain values, containers and ``Recorded`` objects.

    Raises:
        InputError: a class that is not on the list, a damaged or truncated file, or no dictionary.
    """
    content = read_object(stream, place, expected)
    if not isinstance(content, dict):
        raise InputError(place, f"holds a {type(content).__name__}, expected a dictionary", f"expected {expected}")
    return {str(key): value for key, value in content.items()}


def read_object(stream: IO[bytes], place: str, expected: str) -> Any:
    """Whatever a pickle holds, unconverted; errors as in ``read_pickle``. Give it to ``plain_value``."""
    try:
        return RecordingUnpickler(stream, place, expected).load()
    except InputError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise InputError(place, f"is not a readable pickle: {_first_line(error)}") from None


def array_value(value: Any, key: str, place: str) -> NDArray[Any] | sp.csr_matrix:
    """The numbers of a recorded array, sparse matrix or chumpy object.

    Raises:
        InputError: naming the key and the class that cannot be turned into numbers, or what does not fit in it.
    """
    try:
        return _evaluate(value, 0)
    except _UnsupportedError as error:
        raise InputError(place, f"{key} is a {error}, expected numbers") from None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, MemoryError) as error:
        raise InputError(place, f"{key} is damaged: {_first_line(error)}") from None


def plain_value(value: Any, key: str, place: str) -> Any:
    """A structure of a pickle with every recorded array turned into NumPy, and nothing else left in it.

    Dictionaries (with text keys), lists, numbers, text, bytes and None stay; tuples and object arrays become lists (an
    object array without dimensions its one element), text arrays NumPy arrays of str.

    Raises:
        InputError: naming the key and the class that is none of these, or what does not fit in an array.
    """
    try:
        return _plain(value, {}, 0)
    except _UnsupportedError as error:
        raise InputError(place, f"{key} holds a {error}, expected numbers and text") from None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, MemoryError) as error:
        raise InputError(place, f"{key} is damaged: {_first_line(error)}") from None


class _UnsupportedError(Exception):
    pass


def _plain(value: Any, seen: dict[int, Any], depth: int) -> Any:
    """``seen`` keeps what was converted, so that a structure that names one part many times stays as small as it is."""
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if depth > MAX_DEPTH:
        raise _UnsupportedError("structure that is nested too deep")
    if id(value) not in seen:
        if isinstance(value, dict):
            seen[id(value)] = {str(_plain(k, seen, depth + 1)): _plain(v, seen, depth + 1) for k, v in value.items()}
        elif isinstance(value, list | tuple):
            seen[id(value)] = [_plain(v, seen, depth + 1) for v in value]
        elif isinstance(value, Recorded):
            seen[id(value)] = _plain_record(value, seen, depth)
        else:
            raise _UnsupportedError(type(value).__name__)
    return seen[id(value)]


def _plain_record(value: Recorded, seen: dict[int, Any], depth: int) -> Any:
    name = value.origin.rsplit(".", 1)[1]
    if value.origin.startswith(("chumpy.", "scipy.")) or name == "_reconstructor":
        return _evaluate(value, depth)
    if name in ("encode", "bytes"):  # how Python 3 writes bytes in protocol 2
        return _raw_bytes(value)
    if name == "scalar":
        dtype, data = value.args
        return _array((1,), dtype, False, data)[0].item()
    if name == "_frombuffer":
        buffer, dtype, shape, order = value.args
        return _array(shape, dtype, order == "F", buffer)
    if name != "_reconstruct":
        raise _UnsupportedError(_shown(value.origin))
    shape, dtype, fortran, data = value.state[-4:]
    if not (isinstance(dtype, Recorded) and dtype.args and _OBJECT.fullmatch(str(dtype.args[0]))):
        return _array(shape, dtype, fortran, data)
    elements = [_plain(element, seen, depth + 1) for element in data]
    return elements if len(shape) else elements[0]


def _shown(name: str) -> str:
    """A name from an untrusted file, fit for one line."""
    return repr(name[:80])[1:-1]


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _evaluate(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise _UnsupportedError("chumpy object that is nested too deep")
    if isinstance(value, int | float | list | tuple):
        return np.asarray(value, np.float64)
    if not isinstance(value, Recorded):
        raise _UnsupportedError(type(value).__name__)
    origin, state = value.origin, value.state
    if origin.endswith("._reconstructor"):
        return _evaluate(_reconstructed(value), depth + 1)
    name = origin.rsplit(".", 1)[1]
    if name == "_reconstruct":
        return _array(*state[-4:])
    if name == "_frombuffer":
        buffer, dtype, shape, order = value.args
        return _array(shape, dtype, order == "F", buffer)
    if origin.startswith("scipy."):
        return _sparse(name[:3], state, depth)
    if origin.startswith("chumpy.") and name in _CHUMPY:
        return _CHUMPY[name](state, depth + 1)
    raise _UnsupportedError(_shown(origin))


def _reconstructed(value: Recorded) -> Recorded:
    """``copy_reg._reconstructor(cls, object, None)``: how pickle protocols 0 and 1 make an instance of ``cls``."""
    made = value.args[0]()
    if not isinstance(made, Recorded):
        raise _UnsupportedError(type(made).__name__)
    made.state = value.state
    return made


def _array(shape: Any, dtype: Any, fortran: Any, data: Any) -> NDArray[Any]:
    kind = _number_type(dtype)
    raw = _raw_bytes(data)
    flat = np.frombuffer(raw, kind)
    return flat.reshape(tuple(int(n) for n in shape), order="F" if fortran else "C")


def _number_type(dtype: Any) -> np.dtype[Any]:
    text = dtype.args[0] if isinstance(dtype, Recorded) and dtype.origin == "numpy.dtype" else dtype
    match = (_NUMBER.fullmatch(text) or _TEXT.fullmatch(text)) if isinstance(text, str) else None
    if not match:
        raise _UnsupportedError(f"array of {str(text)[:80]!r}")
    order = dtype.state[1] if isinstance(dtype, Recorded) and dtype.state else "="
    return np.dtype(f"{order if order in '<>' else '='}{match[1]}{match[2]}")


def _raw_bytes(data: Any) -> bytes:
    """The buffer of an array: a str from Python 2, bytes, or how Python 3 writes bytes in protocol 2."""
    if isinstance(data, Recorded) and data.origin.rsplit(".", 1)[1] in ("encode", "bytearray", "bytes"):
        data = data.args[0] if data.args else b""  # protocol 2 writes no bytes as bytes()
    return data.encode("latin1") if isinstance(data, str) else bytes(memoryview(data))


def _sparse(form: str, state: dict[str, Any], depth: int) -> sp.csr_matrix:
    data, indices, indptr = (_evaluate(state[k], depth + 1) for k in ("data", "indices", "indptr"))
    shape = state["_shape"] if "_shape" in state else state["shape"]
    rows, columns = (int(n) for n in shape)
    make = sp.csc_matrix if form == "csc" else sp.csr_matrix
    matrix = make((data.astype(np.float64), indices.astype(np.int64), indptr.astype(np.int64)), shape=(rows, columns))
    matrix.check_format(full_check=True)  # out-of-range indices would be written through without it
    return sp.csr_matrix(matrix)


def _select(state: dict[str, Any], depth: int) -> NDArray[Any]:
    chosen = _evaluate(state["a"], depth).ravel()[_evaluate(state["idxs"], depth).astype(np.int64).ravel()]
    shape = state.get("preferred_shape")
    return chosen if shape is None else chosen.reshape(_integers(shape, depth))


def _reshape(state: dict[str, Any], depth: int) -> NDArray[Any]:
    return _evaluate(state["a"], depth).reshape(_integers(state["newshape"], depth))


def _transpose(state: dict[str, Any], depth: int) -> NDArray[Any]:
    axes = state.get("axes")
    return np.transpose(_evaluate(state["a"], depth), None if axes is None else _integers(axes, depth))


def _concatenate(state: dict[str, Any], depth: int) -> NDArray[Any]:
    return np.concatenate([_evaluate(state[name], depth) for name in state["dterms"]], axis=int(state["axis"]))


def _integers(value: Any, depth: int) -> tuple[int, ...]:
    return tuple(int(n) for n in np.atleast_1d(_evaluate(value, depth)))


_CHUMPY: dict[str, Callable[[dict[str, Any], int], Any]] = {
    "Ch": lambda state, depth: _evaluate(state["x"], depth),
    "Select": _select,
    "Reshape": _reshape,
    "transpose": _transpose,
    "Concatenate": _concatenate,
}
"""chumpy classes that only hold or reorder numbers; SMPL's files have no others in the arrays that matter."""
