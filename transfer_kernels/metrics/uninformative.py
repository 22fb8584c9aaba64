"""The warning that a score says nothing."""


class UninformativeScoreWarning(UserWarning):
    """A score was computed but cannot discriminate between models; its text tells the remedy."""
