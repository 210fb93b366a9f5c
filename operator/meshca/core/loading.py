"""Will istiod load what is written next? Who would not holds a change of roots before its first write."""

from meshca.core import gates
from meshca.core.model import Holding, Published
from meshca.core.outcomes import Hold, Obstacle
from meshca.core.questions import Answer, Ask, AskReload, AskTarget, Reader
from meshca.core.situation import Situation, is_spent
from meshca.core.spec import TargetSpec
from meshca.words.names import CA_ROOT_CERT
from meshca.words.reasons import Found, Reason


def load_holds(situation: Situation, what: str, remark: str) -> list[Hold | Ask]:
    """Name everything for which an istiod would not load a change of roots."""
    crls = [
        Obstacle(Found.CRL_PRESENT, f"{what}: {crl_obstacle(name)}; {remark}")
        for name, target in situation.held.items()
        if target.has_crl
    ]
    return [*crls, *_reload_holds(situation, what, remark)]


def _reload_holds(situation: Situation, what: str, remark: str) -> list[Hold | Ask]:
    """Name every target whose istiod would not load a changed set of roots, or has to be asked."""
    holds: list[Hold | Ask] = []
    for target in situation.spec.targets:
        state = situation.held.get(target.name)
        if state is None or _has_nothing_to_lose(situation, state):
            continue
        for ask in _asks(situation, target):
            reload = situation.observed.answers.get(ask)
            if reload is None:
                holds.append(ask)
            elif (refused := refusal(reload, restarts=target.restarts)) is not None:
                reason, message = refused
                holds.append(Obstacle(reason, f"{what}: {message}; {remark}"))
            elif (
                isinstance(state, Published)
                and reload.readers
                and (held := untrusted(situation, target.name, state, reload))
            ):
                holds.append(held)
    return holds


def _asks(situation: Situation, target: TargetSpec) -> list[AskTarget]:
    """Return what has to be asked of a target; who says that it loads changed roots is not asked whether."""
    reload, readers = AskReload(target.name), gates.asks_readers(situation, target.name)
    return [*([reload] if target.asks else []), *([readers] if readers != reload else [])]


def _has_nothing_to_lose(situation: Situation, target: Holding) -> bool:
    """Where all is expired an istiod that loads nothing breaks nothing, and its next restart mends it."""
    signer = situation.signer_of(target) if isinstance(target, Published) else None
    return signer is not None and isinstance(target, Published) and is_spent(situation, target, signer)


def refusal(reload: Answer, *, restarts: bool) -> tuple[Reason, str] | None:
    """Return why a changed set of roots would not be loaded, also not by a restart; None: it will be."""
    asked: tuple[Answer | Reader, ...] = (reload, *(reload.readers if restarts else ()))
    return next(((each.reason, each.message) for each in asked if each.reason is not None), None)


def untrusted(situation: Situation, name: str, target: Published, reload: Answer) -> Obstacle | None:
    """Say that an istiod which starts now would sign what its workloads refuse; None: it would not.

    The newest root that may sign is trusted, or nothing under the one before is valid any more: so says its label. What
    has to be seen is that it is this mesh, and not one on a stranger's root.
    """
    told, signer = reload.told or frozenset(), situation.signer_of(target)
    trusted = {situation.root(revision).certificate.fingerprint for revision in target.bundle} & told
    is_newest = situation.standing is not None and signer == situation.standing.newest
    if signer is None or signer.certificate.fingerprint in trusted or (is_newest and trusted):
        return None
    seen = "cannot be seen" if reload.told is None else "is another root"
    message = (
        f"istiod of target {name} is not restarted, and so loads no changed roots: what its workloads are told to trust"
        f" (ConfigMap {CA_ROOT_CERT}) {seen}, and root {signer.revision}, under which it would sign, is not among"
        " it. Do not restart istiod yourself: it would split the mesh"
    )
    return Obstacle(Found.MESH_HAS_ANOTHER_CA, message)


def crl_obstacle(name: str) -> str:
    """Say why istiod would load no new CA (istio/istio#61075), and the remedy."""
    return (
        f"the Secret of target {name} has a ca-crl.pem, and istiod would refuse a new CA that has no CRL in it;"
        " remove ca-crl.pem"
    )
