"""Error texts: one line, place first, remedy last, near names first."""

from __future__ import annotations

from hmrtk.toolkit.errors import BodyMismatchError, HmrtkError, InputError, UnknownNameError


def test_input_error_reads_place_problem_remedy() -> None:
    error = InputError("a.npz row 3", "pose has 71 values, expected 72", "write it again")
    assert str(error) == "a.npz row 3: pose has 71 values, expected 72 (write it again)"
    assert isinstance(error, HmrtkError)


def test_unknown_name_lists_the_nearest_first() -> None:
    text = str(UnknownNameError("dataset", "h36", ["3dpw", "embedded", "h36m"]))
    assert text.startswith("unknown dataset 'h36'; known: h36m, ")
    assert "embedded" in text


def test_body_mismatch_names_both() -> None:
    text = str(BodyMismatchError("p.safetensors", "aaaa", "bbbb"))
    assert "made with body bbbb" in text
    assert "active body is aaaa" in text
