"""Translation of errors of the hub's client, its HTTP transport and the disk to messages with cause and remedy."""

import errno
import importlib
import os
import ssl
from collections.abc import Iterator
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from clipseg_live.core.errors import ModelError

SMALL_MODEL = "shapes"
_OTHERWISE = f"or use the built-in small model with --model {SMALL_MODEL}"
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")

_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})


def explain(error: BaseException, repository: str) -> ModelError:
    """Return the error to show for a failed download.

    The client wraps network errors in its own, so the whole chain of causes is searched.
    """
    chain = list(_chain(error))
    if any(isinstance(link, ssl.SSLError) for link in chain):
        return _failed(
            repository,
            "the hub's TLS certificate was not accepted: check the clock, or set SSL_CERT_FILE to the certificates of "
            "your network",
        )
    for link in chain:
        explained = _of_hub(link, repository) or _of_transport(link, repository) or _of_disk(link, repository)
        if explained is not None:
            return explained
    reason = " ".join(str(error).split())[:160]
    return _failed(
        repository, f"{type(error).__name__}: {reason}: check the network and HF_ENDPOINT, and try again, {_OTHERWISE}"
    )


def without_alternative(text: str) -> str:
    """Return the message of an error without the option of commands that uses the built-in model."""
    return text.replace(f", {_OTHERWISE}", "")


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        yield from (each for each in link.args if isinstance(each, BaseException))
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _failed(repository: str, rest: str) -> ModelError:
    return ModelError(f"The model {repository} could not be downloaded, {rest}.")


def _of_hub(error: BaseException, repository: str) -> ModelError | None:
    """Explain the client's own errors; they are OSErrors too, so they are checked before those of the disk."""
    from huggingface_hub import errors

    if isinstance(error, errors.OfflineModeIsEnabled):
        return ModelError(
            f"The model {repository} could not be downloaded or verified, because HF_HUB_OFFLINE (or "
            f"TRANSFORMERS_OFFLINE) forbids it: unset it and try again, {_OTHERWISE}."
        )
    if isinstance(error, errors.GatedRepoError):
        return _failed(
            repository,
            f"it is gated: accept its terms at {_page(repository)} and log in with hf auth login, {_OTHERWISE}",
        )
    if isinstance(error, errors.DisabledRepoError):
        return _failed(repository, "the hub has disabled this repository: choose another model")
    if isinstance(error, errors.RevisionNotFoundError):
        return _failed(repository, "its repository has no such revision: update clipseg-live, or try again later")
    if isinstance(error, errors.RepositoryNotFoundError):
        return _unknown(repository)
    if isinstance(error, errors.HfHubHTTPError):
        return _of_status(error, repository)
    if isinstance(error, errors.HFValidationError):
        return ModelError(f"{repository} is not a valid repository name: check its spelling.")
    return None


def _unknown(repository: str) -> ModelError:
    return _failed(
        repository,
        f"the hub at {_endpoint()} has no such repository, or a private one: check HF_ENDPOINT, log in with hf auth "
        f"login if it needs an account, {_OTHERWISE}",
    )


def _of_status(error: Any, repository: str) -> ModelError:
    from huggingface_hub import errors

    response = error.response
    status = response.status_code
    if isinstance(error, errors.EntryNotFoundError):
        path = response.url.path.rpartition("/")[2]
        return _failed(
            repository, f"its repository has no file {path}: fetch the model again later, or choose another one"
        )
    if status == 401 and "invalid credentials" not in response.headers.get("X-Error-Message", "").lower():
        return _unknown(repository)
    if status == 401:
        return _failed(
            repository,
            "the hub does not accept your access token: log in again with hf auth login, or unset HF_TOKEN, "
            f"{_OTHERWISE}",
        )
    if status == 403:
        return _failed(
            repository,
            f"the hub refuses access (403): check that your account and its token may read {_page(repository)}, and "
            f"log in with hf auth login, {_OTHERWISE}",
        )
    if status == 404:
        return _failed(
            repository, f"{_endpoint()} has no such page (404): check HF_ENDPOINT, which must be a hub or its mirror"
        )
    if status == 407:
        return _proxy(repository)
    if status == 429:
        return _failed(
            repository,
            "the hub has received too many requests (429): wait a few minutes and try again, or log in with hf "
            "auth login",
        )
    if status >= 500:
        return _failed(repository, f"the hub has a server error ({status}): try again later, {_OTHERWISE}")
    return _failed(repository, f"the hub answered {status}: check HF_ENDPOINT and try again, {_OTHERWISE}")


def _of_transport(error: BaseException, repository: str) -> ModelError | None:
    """Explain errors of the HTTP library."""
    http = _transport()
    if isinstance(error, http.ProxyError):
        return _proxy(repository)
    if isinstance(error, http.TimeoutException):
        return _failed(
            repository,
            f"the hub at {_endpoint()} did not answer in time: check the network and try again (the seconds are "
            f"set by HF_HUB_DOWNLOAD_TIMEOUT), {_OTHERWISE}",
        )
    if isinstance(error, http.ConnectError) and _uses_proxy():
        return _proxy(repository)
    if isinstance(error, http.ConnectError):
        return _failed(
            repository, f"the hub at {_endpoint()} cannot be reached: check the network and HF_ENDPOINT, {_OTHERWISE}"
        )
    if isinstance(error, http.UnsupportedProtocol | http.InvalidURL | http.LocalProtocolError):
        return _failed(repository, f"{_endpoint()} is not a hub address: correct HF_ENDPOINT and the proxy variables")
    if isinstance(error, http.TransportError):
        return _failed(repository, "the connection was lost: check the network and try again; complete files are kept")
    if isinstance(error, http.HTTPStatusError):
        return _of_status(error, repository)
    return None


def _of_disk(error: BaseException, repository: str) -> ModelError | None:
    """Explain errors of the disk.

    Errors of the hub without a number (a missing cache entry) are not errors of the disk.
    """
    from huggingface_hub import constants

    if not isinstance(error, OSError):
        return None
    if "Consistency check failed" in str(error):
        return _failed(repository, "the hub sent a file of the wrong length: try again, or check the proxy")
    if error.errno is None:
        return None
    folder = constants.HF_HUB_CACHE
    if error.errno in _FULL:
        return _failed(repository, f"the disk is full: free space in {folder}, or set HF_HUB_CACHE to a larger disk")
    remedy = "check the folder and its permissions, or set HF_HUB_CACHE to your own folder"
    return _failed(repository, f"{folder} cannot be written ({error.strerror}): {remedy}")


def _proxy(repository: str) -> ModelError:
    named = [name for name in _PROXIES if os.environ.get(name) or os.environ.get(name.lower())]
    variables = ", ".join(named or _PROXIES)
    return _failed(
        repository, f"the proxy refuses or cannot be reached: check {variables} (address, user and password)"
    )


def _uses_proxy() -> bool:
    """Return True if requests to the hub go through a proxy."""
    try:
        address = urlsplit(_endpoint())
    except ValueError:
        return False
    proxies = getproxies()
    has_proxy = address.scheme in proxies or "all" in proxies
    return has_proxy and not proxy_bypass(address.hostname or "")


def _transport() -> ModuleType:
    """Return the HTTP library of the installed client: httpx2 for version 2, httpx for version 1."""
    from huggingface_hub.errors import HfHubHTTPError

    base = next(each for each in HfHubHTTPError.__mro__ if each.__name__ == "HTTPError")
    return importlib.import_module(base.__module__.partition(".")[0])


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def _page(repository: str) -> str:
    return f"{_endpoint()}/{repository}"
