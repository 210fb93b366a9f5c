"""Who this process is to the API server: from a kubeconfig or a pod, renewed before it ends.

All of the Kubernetes client is here; requests are connection.py's.
"""

import asyncio
import os
import re
import ssl
import time
from collections.abc import Mapping
from pathlib import Path

from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from meshca.errors import StoreError
from meshca.words.reasons import Found

RENEWAL_SECONDS = 10.0
"""Rejected credentials are loaded anew no more often than this."""


class Credentials:
    """The Authorization header, and where to get another one when it is rejected."""

    def __init__(self, configuration: Configuration, environ: Mapping[str, str]) -> None:
        self.configuration = configuration
        self._environ = environ
        self._lock = asyncio.Lock()
        self._renewed = -RENEWAL_SECONDS

    def tls(self) -> ssl.SSLContext:
        """Whom this process takes for the API server, and its client certificate if it has one."""
        context: ssl.SSLContext = RESTClientObject(self.configuration).ssl_context  # connects to nothing
        return context

    async def header(self) -> str | None:
        """The header's value; in a pod its token is read again every minute (kubernetes.aio incluster_config.py)."""
        value: str | None = await self.configuration.get_api_key_with_prefix("BearerToken")
        return value

    async def renew(self, rejected: str | None) -> bool:
        """Load the configuration again: token files, exec plugins. False if there is nothing new to try.

        The client does not renew an exec plugin's token by itself
        (kubernetes/aio/config/kube_config.py sets no refresh hook).
        """
        async with self._lock:
            now = time.monotonic()
            if await self.header() == rejected and now - self._renewed >= RENEWAL_SECONDS:
                self._renewed = now
                try:
                    fresh = await load(self._environ)
                except StoreError:
                    return False
                self.configuration.api_key = fresh.api_key
                self.configuration.refresh_api_key_hook = fresh.refresh_api_key_hook
            return await self.header() != rejected


def _load_in_pod() -> Configuration:
    configuration = Configuration()
    try:
        load_incluster_config(client_configuration=configuration)
    except (ConfigException, OSError) as error:
        raise StoreError(Found.API_ERROR, f"cannot use the pod's ServiceAccount: {error}") from error
    return configuration


def _is_any_file(paths: str) -> bool:
    return any(Path(each).expanduser().exists() for each in paths.split(os.pathsep) if each)


def _harmless(error: Exception) -> str:
    """Why a configuration cannot be used. The loader's own message can quote a whole user entry, with its key."""
    missing = re.match(r"Invalid kube-config file\. Expected (key \S+|object with name \S+)", str(error))
    return f"it has no {missing[1]}" if missing else f"it is no kubeconfig ({type(error).__name__})"


async def load(environ: Mapping[str, str]) -> Configuration:
    """Find out who this process is.

    Raises:
        StoreError: there is no way to tell.
    """
    if not environ.get("KUBECONFIG") and "KUBERNETES_SERVICE_HOST" in environ:
        return _load_in_pod()
    path = environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    if not _is_any_file(path):
        raise StoreError(Found.API_ERROR, f"there is no {path}: set KUBECONFIG, or run in a pod")
    configuration = Configuration()
    try:
        await load_kube_config(config_file=path, client_configuration=configuration, persist_config=False)
    except Exception as error:  # noqa: BLE001  # the loader raises whatever a malformed file makes it trip over
        raise StoreError(Found.API_ERROR, f"cannot use {path}: {_harmless(error)}") from None
    return configuration
