"""Faults of this program: told with where they are, never with their words, and each costs only what it struck."""

import logging
import traceback

from meshca.errors import InternalError

logger = logging.getLogger(__name__)


def internal(meshca: str, fault: Exception) -> InternalError:
    """Log a fault of ours with its trace, but without its words: they may quote a key."""
    error = InternalError(fault)
    trace = "".join(traceback.format_tb(fault.__traceback__))
    logger.error("%s\n%s", error.message, trace, extra={"meshca": meshca, "reason": error.reason.value})
    return error
