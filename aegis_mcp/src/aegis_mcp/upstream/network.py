"""HTTP to a remote upstream and its authorization server, and to nothing behind them.

A server chooses names, redirects and endpoints that the gateway is to go to: none may lead it to an address of this
machine, this link or a private network unless the operator says so. A name is resolved once and the connection goes to
the address that was checked, so that no second answer of the name's owner matters.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias
from urllib.request import getproxies_environment, proxy_bypass

import httpx2

from aegis_mcp.errors import UpstreamUnavailable
from aegis_mcp.loopback import is_loopback
from aegis_mcp.upstream.aside import aside

# They log addresses with their queries.
for _name in ("httpx2", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_CONNECTIONS: Final = 128
"""Connections to one host at the same time; what comes beyond that waits for one."""
_RESERVE: Final = 2
"""Connections beside those, for what is short and somebody may wait for to end one of them."""
RESERVE: Final = "reserve"
"""The extension of a request that is to go over one of them."""

_REMEMBERED_SECONDS: Final = 60.0
_FIRST_TRY_SECONDS: Final = 0.5
_LAST_PORT: Final = 65535
_UNICAST: Final = ipaddress.ip_network("2000::/3")
"""The addresses of IPv6 that are global (RFC 4291 §2.4). Of the others some lead to an IPv4 address by an old way."""
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_KEEP_ALIVE: Final = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a transport goes: to addresses of private networks, or as far as this machine itself."""

    is_private: bool = False
    is_loopback: bool = False

    @classmethod
    def of(cls, url: str, *, allow_private: bool) -> Reach:
        """Return how far one goes for an upstream: whoever writes this machine's address means this machine."""
        return cls(is_private=allow_private, is_loopback=is_loopback(httpx2.URL(url).host))

    def refusal(self, address: Address) -> str | None:
        """Say why nothing goes to this address, None if it may."""
        if self.is_private:
            return None
        for each in (address, *_embedded(address)):
            if each.is_loopback and self.is_loopback:
                continue
            if not _is_of_the_internet(each):
                return f"{address} is not an address of the internet, and the policy does not say `allow_private: true`"
        return None


def _is_of_the_internet(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address not in _UNICAST:
        return address in _NAT64  # where it leads to is judged for itself
    return address.is_global and not address.is_multicast


def _embedded(address: Address) -> list[Address]:
    """Return the IPv4 addresses that packets to an IPv6 address may end up at."""
    if not isinstance(address, ipaddress.IPv6Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [each for each in found if each is not None]


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Sends requests over verified TLS, or in clear to this machine, to addresses within its reach.

    Where the environment names a proxy, the proxy resolves the names: only addresses that stand in a URL are checked.
    """

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._tls = httpx2.create_ssl_context()
        # One a host, not one an address: a connection is only used for the name that its certificate was checked for.
        self._transports: dict[tuple[str, bool], httpx2.AsyncHTTPTransport] = {}
        self._known: dict[str, tuple[float, list[Address]]] = {}
        self._proxies = getproxies_environment()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request.

        Raises:
            UpstreamUnavailable: the address is out of reach, or the name is not known.
        """
        url = request.url
        if url.scheme == "http" and not is_loopback(url.host):
            raise UpstreamUnavailable(f"{origin(url)} is not asked: without TLS everybody on the way could read along")
        if (url.port or 0) > _LAST_PORT:
            raise UpstreamUnavailable(f"{origin(url)} is not asked: there is no such port")
        if proxy := self._proxy_for(url):
            self._check_literal(url)
            return await self._transport_of(request, proxy).handle_async_request(request)
        addresses = await self._resolve(url.host)
        for number, address in enumerate(addresses):
            is_last = number == len(addresses) - 1
            try:
                return await self._transport_of(request).handle_async_request(_at(request, address, is_last=is_last))
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if is_last:
                    self._known.pop(url.host, None)
                    raise
        raise UpstreamUnavailable(f"the name {url.host!r} has no address")

    async def aclose(self) -> None:
        """Close every connection."""
        for transport in self._transports.values():
            await transport.aclose()

    def _transport_of(self, request: httpx2.Request, proxy: str | None = None) -> httpx2.AsyncHTTPTransport:
        is_reserve = request.extensions.get(RESERVE) is True
        which = (request.url.host, is_reserve)
        if which not in self._transports:
            most = _RESERVE if is_reserve else MAX_CONNECTIONS
            limits = httpx2.Limits(max_connections=most, max_keepalive_connections=min(most, 16))
            self._transports[which] = httpx2.AsyncHTTPTransport(
                verify=self._tls, limits=limits, proxy=proxy, socket_options=_KEEP_ALIVE
            )
        return self._transports[which]

    def _proxy_for(self, url: httpx2.URL) -> str | None:
        if is_loopback(url.host) or proxy_bypass(url.host):
            return None
        proxy = self._proxies.get(url.scheme) or self._proxies.get("all")
        return proxy if proxy is None or "://" in proxy else f"http://{proxy}"

    def _check_literal(self, url: httpx2.URL) -> None:
        with contextlib.suppress(ValueError):
            self._check(url.host, [ipaddress.ip_address(url.host)])

    async def _resolve(self, host: str) -> list[Address]:
        until, addresses = self._known.get(host, (0.0, []))
        if until < time.monotonic():
            addresses = await _addresses_of(host)
            self._check(host, addresses)
            self._known[host] = (time.monotonic() + _REMEMBERED_SECONDS, addresses)
        return addresses

    def _check(self, host: str, addresses: list[Address]) -> None:
        # One refused address is enough: a name that also stands for the inside is not one to trust with the rest.
        for address in addresses:
            if why := self._reach.refusal(address):
                raise UpstreamUnavailable(f"{host!r} is not asked: {why}")


def origin(url: httpx2.URL) -> str:
    """Return scheme, host and port: what can be shown of a URL, whose rest may hold a secret."""
    return str(url.copy_with(userinfo=b"", path="/", query=None, fragment=None)).removesuffix("/")


def _at(request: httpx2.Request, address: Address, *, is_last: bool) -> httpx2.Request:
    """Return a request that goes to this address, and is for the same name in TLS and in `Host`."""
    extensions = {**request.extensions, "sni_hostname": request.url.host}
    timeouts: Mapping[str, float | None] = request.extensions.get("timeout", {})
    if not is_last:
        # An address that does not answer, as IPv6 from behind many routers, must not use up the time of the next.
        extensions["timeout"] = {**timeouts, "connect": _FIRST_TRY_SECONDS}
    url = request.url.copy_with(host=str(address))
    return httpx2.Request(request.method, url, headers=request.headers, stream=request.stream, extensions=extensions)


async def _addresses_of(host: str) -> list[Address]:
    with contextlib.suppress(ValueError):
        return [ipaddress.ip_address(host)]
    return await aside(partial(_resolved, host))


def _resolved(host: str) -> list[Address]:
    try:
        infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(ipaddress.ip_address(info[4][0]) for info in infos))
    except (OSError, UnicodeError) as exc:
        why = getattr(exc, "strerror", None) or "it is no name"
        raise UpstreamUnavailable(f"the name {host!r} cannot be resolved: {why}") from exc


def certificate_error(error: BaseException) -> ssl.SSLError | None:
    """Return the failure of TLS that is behind an error, None if it is another one."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    return cause
