"""Drop-ins: the names and signatures of published code bases, with this package behind them.

One module a peer, imported when it is first asked for. Each tells in its docstring what differs
from the published code. None imports the peer, and PyTorch and scikit-learn only where an argument
or a method needs them. Scores are floats that ``json.dump`` takes, arguments are never written to,
and nothing is printed.

`install` puts a peer's replacements into the peer itself; ``python -m transfer_kernels.compat PEER
script.py`` runs one of its scripts with them.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from .peers import PEERS
from .replacement import Installation, install, uninstall

MODULES = (*(peer.module for peer in PEERS.values()), "scikit_learn")

__all__ = ["Installation", "install", "peer_names", "uninstall", *MODULES]


def peer_names() -> tuple[str, ...]:
    """Names of the peers, as `install` and the command take them."""
    return tuple(PEERS)


def __getattr__(name: str) -> ModuleType:
    if name in MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
