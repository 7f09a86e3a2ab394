"""The process in which SciPy reads MATLAB files, because a damaged one can end it; ``mat_file`` starts it.

In: lines of JSON on stdin, each a path and names of variables. Out: for each, the length of a pickled answer (8 bytes)
and the answer on stdout: ``("found", arrays)``, or ``("newer", "")`` and ``("damaged", reason)``.
"""

from __future__ import annotations

import json
import os
import pickle
import struct
import sys
from typing import Any

LENGTH = struct.Struct("<q")


def answer(path: str, names: list[str]) -> tuple[str, Any]:
    """What ``mat_file`` is told about a file."""
    from scipy.io import loadmat

    try:
        with open(path, "rb") as stream:
            content = loadmat(stream, variable_names=names)
    except NotImplementedError:
        return "newer", ""
    except Exception as error:  # scipy raises ValueError, TypeError, zlib.error … on damaged files
        return "damaged", (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
    return "found", {name: content[name] for name in names if name in content}


def main() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get between the answers
    for line in sys.stdin:
        request = json.loads(line)
        data = pickle.dumps(answer(request["path"], request["names"]), protocol=5)
        answers.write(LENGTH.pack(len(data)))
        answers.write(data)
        answers.flush()


if __name__ == "__main__":
    main()
