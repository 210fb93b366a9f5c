"""The root that a person puts into a Secret: judged once for each content, off the event loop, and told about.

An RSA key of 8192 bits takes seconds to check and holds up nobody here; what was judged is remembered by its hash, so
that a pass over an unchanged Secret costs nothing. Only dates are judged on every pass.
"""

import asyncio
import hashlib
import logging
import traceback
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from meshca.errors import InternalError, PKIError
from meshca.pki import rehearsal, root
from meshca.pki.certs import Certificate, KeyPair
from meshca.words.names import TLS_CERT, TLS_KEY
from meshca.words.reasons import Unfit

logger = logging.getLogger(__name__)

MOST_REMEMBERED = 64
_TIMED = frozenset({Unfit.ROOT_EXPIRED, Unfit.ROOT_NOT_YET_VALID})
"""What may be said of the same content at one time and not at another."""


@dataclass(frozen=True, slots=True)
class Mesh:
    """What a root has to be good for.

    Attributes:
        servers: the DNS names of whom the mesh runs by.
        trust_domain: of the workloads.
        others: the roots there are, newest first.
    """

    servers: tuple[str, ...]
    trust_domain: str
    others: tuple[Certificate, ...]


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges given roots and remembers the last few verdicts."""

    _verdicts: OrderedDict[str, KeyPair | PKIError] = field(default_factory=OrderedDict, repr=False)

    async def judge(self, data: Mapping[str, bytes], mesh: Mesh, now: datetime, where: str) -> KeyPair | PKIError:
        """Tell whether a root can carry a mesh: the root, or what is wrong with it.

        Args:
            data: of the Secret.
            mesh: what it has to be good for.
            now: the API server's time.
            where: the Secret, for messages.
        """
        key = _fingerprint(data, mesh, where)
        verdict = self._verdicts.get(key)
        if verdict is None:
            verdict = await asyncio.to_thread(_judge, data, mesh, now, where)
            if isinstance(verdict, PKIError) and verdict.reason in _TIMED:
                return verdict
            self._remember(key, verdict)
        self._verdicts.move_to_end(key)
        return root.untimely(verdict.certificate, now, where) or verdict if isinstance(verdict, KeyPair) else verdict

    def _remember(self, key: str, verdict: KeyPair | PKIError) -> None:
        self._verdicts[key] = verdict
        while len(self._verdicts) > MOST_REMEMBERED:
            self._verdicts.popitem(last=False)


def _judge(data: Mapping[str, bytes], mesh: Mesh, now: datetime, where: str) -> KeyPair | PKIError:
    try:
        pair = root.check_root(data.get(TLS_CERT), data.get(TLS_KEY), now=now, where=where)
        rehearsal.rehearse(
            pair,
            mesh.others,
            servers=mesh.servers,
            trust_domain=mesh.trust_domain,
            now=now,
            where=where,
        )
    except PKIError as error:
        return error.with_traceback(None)
    except Exception as fault:  # noqa: BLE001  # whatever is in that file, the mesh there is goes on
        return _unforeseen(fault, where)
    return pair


def _unforeseen(fault: Exception, where: str) -> PKIError:
    """Refuse what nobody foresaw, and log it without its words: they may quote a key."""
    message = f"{where}: the root cannot be judged: {InternalError(fault).message}; until then, give another root"
    logger.error("%s\n%s", message, "".join(traceback.format_tb(fault.__traceback__)))
    return PKIError(Unfit.ROOT_UNREADABLE, message)


def _fingerprint(data: Mapping[str, bytes], mesh: Mesh, where: str) -> str:
    """Hash all that a verdict depends on; each part by its own hash, so that no two are taken for one another."""
    parts: Sequence[bytes] = (
        data.get(TLS_CERT, b""),
        data.get(TLS_KEY, b""),
        where.encode(),
        mesh.trust_domain.encode(),
        *(server.encode() for server in mesh.servers),
        *(other.fingerprint.encode() for other in mesh.others),
    )
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


JUDGE = Judge()
"""Of this process; its verdicts depend on nothing but what it is asked."""
