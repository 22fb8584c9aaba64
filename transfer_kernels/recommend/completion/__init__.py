"""The column of a new task, completed from past columns and from a few models that were run."""

from .completion import Completion
from .search import Search

__all__ = ["Completion", "Search"]
