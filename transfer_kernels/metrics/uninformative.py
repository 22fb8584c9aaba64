"""The warning that a score says nothing, raised at the line of the caller."""

import sys
import warnings

#: Frames that are passed over: this package's, and numpy's where it decorates a function here.
_PASSED = (__name__.partition(".")[0], "numpy")


class UninformativeScoreWarning(UserWarning):
    """A score was computed but cannot discriminate between models; its text tells the remedy."""


def warn_uninformative(message: str) -> None:
    """Warn at the first line outside this package, however deep the call is within it."""
    level, frame = 3, sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _PASSED:
            break
        level += 1
    warnings.warn(message, UninformativeScoreWarning, stacklevel=level)
