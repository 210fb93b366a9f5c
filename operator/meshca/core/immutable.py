"""Objects of targets that can never change again (`immutable: true`): who set it has to delete them."""

from meshca.core.actions import Action, WriteBundle, WriteCA
from meshca.core.model import Holding, Listed, Published
from meshca.core.outcomes import Hold, Obstacle
from meshca.core.situation import Situation
from meshca.words.reasons import Found
from meshca.words.text import when


def cannot_write(situation: Situation, action: Action) -> Hold | None:
    """Say why a target's object takes no write, whatever it is."""
    if not isinstance(action, WriteCA | WriteBundle):
        return None
    target = situation.held.get(action.target)
    return immutable(situation, action.target, target) if target is not None and target.immutable else None


def immutable(situation: Situation, name: str, target: Holding) -> Hold:
    """Say that a target's object can never change again, until when that goes well, and the remedy."""
    if isinstance(target, Listed):
        message = f"{situation.title(name)} is immutable, so that it cannot follow the trust bundle: delete it, it is"
        return Obstacle(Found.CONFIG_MAP_IMMUTABLE, f"{message} made anew at once")
    if situation.is_in_place(name):
        message = (
            f"the Secret of target {name} is immutable, so that its CA cannot be taken over: delete it, and it is put"
            " back at once as it was, but for that; then restart istiod, since the kubelet does not follow an immutable"
            " Secret"
        )
        return Obstacle(Found.SECRET_IMMUTABLE, message)
    ends = target.not_after if isinstance(target, Published) else situation.now
    until = f" before {when(ends)}" if ends > situation.now else " now"
    message = (
        f"the Secret of target {name} is immutable, so that it cannot be renewed: delete it{until}, it is made anew at"
        " once under the same root; then restart istiod, since the kubelet does not follow an immutable Secret"
    )
    return Obstacle(Found.SECRET_IMMUTABLE, message)
