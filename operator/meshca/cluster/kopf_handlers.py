"""What kopf calls: a watch of MeshCAs, and nothing else.

No handler decides or writes. kopf's change handlers, timers and daemons would
put finalizers and annotations on every object; `on.event` puts nothing.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import kopf

from meshca.words.names import GROUP, PLURAL, VERSION

OnEvent = Callable[[str | None, dict[str, Any]], None]
"""Called with the event's type (ADDED, MODIFIED, DELETED, or None for what a list found) and the object."""
Login = Callable[[], Awaitable[kopf.AiohttpSession]]


def make_registry(on_event: OnEvent, login: Login) -> kopf.OperatorRegistry:
    """Return kopf's registry with our two handlers.

    Args:
        on_event: told of every MeshCA that appears, changes or goes.
        login: gives kopf its way to the API server.
    """
    registry = kopf.OperatorRegistry()

    @kopf.on.login(id="login", registry=registry)
    async def log_in(**_: Any) -> kopf.AiohttpSession:
        return await login()

    @kopf.on.event(GROUP, VERSION, PLURAL, id="meshca", registry=registry)
    async def see(event: Any, **_: Any) -> None:
        on_event(event["type"], dict(event["object"]))

    return registry
