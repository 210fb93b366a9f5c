"""Restarting whoever loads changed roots only when it starts: stock istiod, without `ISTIO_MULTIROOT_MESH`.

Such an istiod ignores an update in which the roots differ from those that it has
loaded, whatever else is in it, and loads everything when it starts. So after each
write that changes the roots it is restarted: once the object must have arrived where
it is mounted, one at a time, and only if the workloads it serves trust what it will
sign under. Until every process is a new one, nothing counts as loaded (gates.py).
"""

from collections.abc import Iterator
from datetime import timedelta

from meshca.core import gates
from meshca.core.actions import Restart
from meshca.core.loading import untrusted
from meshca.core.model import Published
from meshca.core.outcomes import Obstacle, Outcome, Step, Wait
from meshca.core.questions import Answer, AskReaders, AskReload, Reader
from meshca.core.rules import settled
from meshca.core.situation import Situation, Standing, is_spent
from meshca.words.names import CA_ROOT_CERT
from meshca.words.reasons import Done, Found
from meshca.words.text import when

LOOK_AGAIN = timedelta(seconds=10)
"""How soon to look again at what is being restarted: nothing tells of it."""
MOST = 5
"""Namespaces that are named in a message."""
DEADLINE = timedelta(minutes=10)
"""In which a restart must be over, as for a Deployment unless it says otherwise (`progressDeadlineSeconds`)."""


@settled
def restart_readers(situation: Situation, _: Standing) -> Outcome:
    """Restart whatever reads a target and has not loaded its roots."""
    for name, target in situation.published.items():
        ask = gates.asks_readers(situation, name)
        is_asked = situation.spec.target(name).restarts or isinstance(ask, AskReaders)
        if is_asked and not _is_untouched(situation, name, target):
            yield from _restart(situation, name, target, ask)


def _is_untouched(situation: Situation, name: str, target: Published) -> bool:
    """Tell whether everything that runs has loaded what there is: nothing else was ever written, or nothing by us."""
    return gates.has_only_ever_one_root(situation, target) or situation.is_in_place(name)


def _restart(situation: Situation, name: str, target: Published, ask: AskReload | AskReaders) -> Outcome:
    reload = situation.observed.answers.get(ask)
    if reload is None:
        yield ask
        return
    if gates.loads_by_restart(situation, ask, reload) and (reload.reason is not None or not reload.readers):
        yield from _unseen(situation, name, target, reload)
        return
    due = [each for each in reload.readers if gates.is_old(situation, target, each)]
    for each in reload.readers:
        if each.is_moving:
            yield _while_it_moves(situation, name, target, each)
    if due and not _is_anything_moving(situation):
        yield _next(situation, name, target, due[0], reload)
    elif not due and not any(each.is_moving for each in reload.readers):
        yield from _untold(situation, name, target, reload)


def _is_anything_moving(situation: Situation) -> bool:
    """Tell whether something is being restarted, at whichever target: meanwhile nothing else is."""
    return any(reader.is_moving for answer in situation.observed.answers.values() for reader in answer.readers)


def _while_it_moves(situation: Situation, name: str, target: Published, reader: Reader) -> Wait | Obstacle:
    """Wait for a restart; one that should make a target's roots be loaded must come to an end."""
    is_old = gates.is_old(situation, target, reader)
    if is_old and reader.reason is not None:
        return Obstacle(reader.reason, f"{_old(name)} is not loaded before a restart: {reader.message}")
    is_late = reader.asked is not None and situation.now > reader.asked + DEADLINE
    if (is_old and (reader.is_stuck or is_late)) or (reader.is_stuck and _is_for_us(situation, target, reader)):
        since = f" since {when(reader.asked)}" if reader.asked is not None else ""
        message = (
            f"the restart of {reader.name} of target {name} does not come to an end{since}: nothing goes on before"
            " every pod of it is new and ready. See why: kubectl -n"
            f" {situation.spec.target(name).ref.namespace} rollout status deployment/{reader.name}"
        )
        return Obstacle(Found.RESTART_STUCK, message)
    message = f"waits until every pod of {reader.name} of target {name} is up to date and ready"
    return Wait(Done.ISTIOD_RESTARTED, message, situation.now + LOOK_AGAIN)


def _unseen(situation: Situation, name: str, target: Published, reload: Answer) -> Iterator[Obstacle]:
    """Say why nobody knows what is loaded: a right is missing, or nothing runs there any more."""
    if reload.reason is Found.FORBIDDEN or _is_waited_for(situation, target):
        message = reload.message or "no istiod runs there, and nothing goes on before one does"
        message = f"whether {_old(name)} is loaded cannot be seen: {message}"
        yield Obstacle(reload.reason or Found.ISTIOD_NOT_FOUND, message)


def _untold(situation: Situation, name: str, target: Published, reload: Answer) -> Iterator[Wait | Obstacle]:
    """Wait until the istiods that were restarted have told all workloads of the newest root; they take a moment."""
    newest = situation.standing.newest.revision if situation.standing is not None else 0
    places = gates.untold(situation, name, reload) if newest in target.bundle else []
    if not places:
        return
    where = f"{', '.join(places[:MOST])}{f' and {len(places) - MOST} more' if len(places) > MOST else ''}"
    what = f"ConfigMap {CA_ROOT_CERT} of namespace {where}"
    latest = max((start for each in reload.readers for start in each.starts), default=situation.now)
    if situation.now < latest + DEADLINE:
        message = f"waits until istiod of target {name} has written root {newest} into {what}"
        yield Wait(Done.ISTIOD_RESTARTED, message, situation.now + LOOK_AGAIN)
        return
    message = (
        f"{what} does not name root {newest}, though istiod of target {name} has started with it: workloads there would"
        " reach no istiod when it signs, so it does not. See istiod's log for why; where no workload runs any more,"
        f" delete it: kubectl -n {places[0]} delete configmap {CA_ROOT_CERT}"
    )
    yield Obstacle(Found.ROOT_NOT_TOLD, message)


def _is_for_us(situation: Situation, target: Published, reader: Reader) -> bool:
    """Tell whether a restart that left nothing old was asked for by a rotation that still waits for it."""
    asked, mounted = reader.asked, gates.bundle_loaded_at(target, situation.spec)
    return _is_waited_for(situation, target) and asked is not None and asked >= mounted


def _is_waited_for(situation: Situation, target: Published) -> bool:
    """Tell whether a rotation is under way that does not go on before what this target holds is loaded."""
    has_old_keys = any(root.has_key and root.revision not in target.bundle for root in situation.observed.roots)
    return len(target.bundle) > 1 or has_old_keys


def _next(situation: Situation, name: str, target: Published, reader: Reader, reload: Answer) -> Step | Wait | Obstacle:
    """Restart one reader, or say why not."""
    if (held := _unfit(situation, name, target, reload)) is not None:
        return held
    mounted = gates.bundle_loaded_at(target, situation.spec)
    if situation.now < mounted:
        message = f"{reader.name} of target {name} has to be restarted when what was written has arrived there"
        return Wait(Done.ISTIOD_RESTARTED, message, mounted)
    if not situation.spec.target(name).restarts:
        return _by_hand(situation, name, reader)
    if reader.is_reverted:
        message = (
            f"the restart of {reader.name} of target {name} was set back by somebody: let what manages this Deployment"
            " leave spec.template.metadata.annotations alone (kubectl rollout restart writes the same one):"
            f" {_old(name)} is not loaded before"
        )
        return Obstacle(Found.RESTART_REVERTED, message)
    if reader.reason is not None:
        return Obstacle(reader.reason, f"{_old(name)} is not loaded before a restart: {reader.message}")
    message = f"restarts {reader.name} of target {name}, so that it loads the changed roots"
    return Step(Restart(name, reader.name, reader.uid), Done.ISTIOD_RESTARTED, message)


def _by_hand(situation: Situation, name: str, reader: Reader) -> Obstacle:
    """Say that a person has to restart istiod, when that is safe."""
    if reader.is_stray:
        return Obstacle(
            reader.reason or Found.RESTART_REFUSED, f"{_old(name)} is not loaded before a restart: {reader.message}"
        )
    where = situation.spec.target(name).ref.namespace
    message = (
        f"{reader.name} of target {name} runs on a CA of its own making and looks for no other one before it is started"
        f" anew. Restart it now: kubectl -n {where} rollout restart deployment/{reader.name}. It goes on signing with"
        " the same CA, and trusts the new root too. Or let the operator do it: rootReload: Restart"
    )
    return Obstacle(Found.RESTART_NEEDED, message)


def _unfit(situation: Situation, name: str, target: Published, reload: Answer) -> Wait | Obstacle | None:
    """Say why an istiod that starts now would not come up, or would sign what its workloads refuse; None: it is well.

    The checks are those of its start (istio security/pkg/pki/ca/ca.go, NewPluggedCertIstioCAOptions): what we
    wrote, all of it, is proven before it is written.
    """
    signer = situation.signer_of(target)
    if signer is None or not target.intact or is_spent(situation, target, signer):
        return Wait(Done.ISTIOD_RESTARTED, f"{_old(name)} is loaded by a restart when its Secret is in order")
    if target.has_crl:
        message = f"{_old(name)} is not loaded before a restart, and istiod might not start with the ca-crl.pem there"
        return Obstacle(Found.CRL_PRESENT, f"{message}: remove ca-crl.pem")
    return untrusted(situation, name, target, reload)


def _old(name: str) -> str:
    return f"what was written to target {name}"
