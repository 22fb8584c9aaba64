"""The peers: where their names live, and whether a source is one whose behaviour is known."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from .known_sources import KNOWN


@dataclass(frozen=True)
class Peer:
    """A published code base.

    Parameters
    ----------
    name : str
    module : str
        The module of this folder that stands for it.
    homes : tuple of str
        Its own modules in which the names are defined.
    is_package : bool
        Whether it is installed; else its modules are files beside its scripts.
    """

    name: str
    module: str
    homes: tuple[str, ...]
    is_package: bool = False

    @property
    def ours(self) -> ModuleType:
        """The module that stands for it."""
        return import_module(f"{__package__}.{self.module}")

    def names_of(self, defined: Iterable[str]) -> list[str]:
        """Those of the names that a home defines which are replaced."""
        offered = set(self.ours.__all__)
        return [name for name in defined if name in offered]


_METRICS = ("metrics", "rank_correlation")
_SPIDER = ("GBC", "H_Score", "LEEP", "LFC", "LogME", "NCE", "OTCE", "PACTran")
_TLLIB = ("hscore", "leep", "logme", "nce", "transrate")
_RANKER = ("hscore", "logme", "nearestneighbors")

PEERS = {
    peer.name: peer
    for peer in (
        Peer("thuml-logme", "thuml_logme", ("LEEP", "LogME", "NCE")),
        Peer("tllib", "tllib", tuple(f"tllib.ranking.{m}" for m in _TLLIB), True),
        Peer(
            "transformer-ranker",
            "transformer_ranker",
            tuple(f"transformer_ranker.estimators.{m}" for m in _RANKER),
            True,
        ),
        Peer("sfda", "sfda", _METRICS),
        Peer("parc", "parc", ("methods",)),
        Peer("model-spider", "model_spider", tuple(f"mptms.{m}" for m in _SPIDER)),
        Peer("ped", "ped", _METRICS),
        Peer("etran", "etran", _METRICS),
        Peer("emms", "emms", ("metrics",)),
        Peer("ncti", "ncti", _METRICS),
    )
}


def peer_named(name: str) -> Peer:
    """The peer of a name, in which ``_`` may stand for ``-``.

    Raises
    ------
    ValueError
        If there is none.
    """
    peer = PEERS.get(str(name).lower().replace("_", "-"))
    if peer is None:
        raise ValueError(f"peer {name!r} is unknown; there are {', '.join(PEERS)}")
    return peer


def digests(path: Path) -> dict[str, str]:
    """Name to digest of every function and class that a file of source defines.

    Blank lines, trailing blanks and the width of tabs do not count.
    """
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            kept = [line.expandtabs(4).rstrip() for line in lines[first - 1 : node.end_lineno]]
            body = "\n".join(filter(None, kept))
            found[node.name] = hashlib.sha256(body.encode()).hexdigest()[:12]
    return found


def require_known(peer: Peer, home: str, path: Path) -> None:
    """Raise ValueError unless what is replaced in a home is what was published.

    Raises
    ------
    ValueError
        Naming the first that is not.
    """
    found = digests(path)
    for name in peer.names_of(found):
        if found[name] not in KNOWN.get(peer.name, {}).get(f"{home}.{name}", ()):
            raise ValueError(
                f"{path}: this {name} is not the published one of {peer.name} that is known here, "
                "so that its replacement may give other values; pass unknown_source=True, or "
                "--unknown-source on the command line, to replace it all the same"
            )
