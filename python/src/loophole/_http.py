"""HTTP to one address, with the standard library only: kept connections, no locks, safe across forks."""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

#: Statuses with which a service says: not now, ask again.
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
#: Seconds to wait for a connection.
CONNECT = 5.0
#: A connection that nobody used for so long is not used again: the service leaves silent clients after 60 s, and a
#: request that crosses with its goodbye could not be told from one that was worked at.
STALE = 30.0


class ServiceError(Exception):
    """A service did not do what it was asked. `status` is HTTP's (0 where nobody answered), `code` the service's own."""

    def __init__(self, message: str, status: int = 0, code: str | None = None):
        super().__init__(message)
        self.status = status
        self.code = code


class Refused(ServiceError):
    """The request is wrong; another service would say the same."""


class Unavailable(ServiceError):
    """Nobody answered, or there was no room. `down`: the address cannot be reached; `seconds`: how long to wait."""

    def __init__(self, message: str, status: int = 0, seconds: float = 0.0, down: bool = False):
        super().__init__(message, status)
        self.seconds = seconds
        self.down = down


@dataclass
class Answer:
    """What came back whole."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a socket of the file system."""

    def __init__(self, path: str, timeout: float):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Address:
    """One service: `http://HOST:PORT`, `https://...` or `unix:/PATH`.

    The token may stand in the address, as `http://any:TOKEN@HOST:PORT`.
    """

    def __init__(self, url: str, token: str | None = None):
        self.unix = url[len("unix:") :] if url.startswith("unix:") else None
        parts = urlsplit("http://localhost" if self.unix else url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no address: http://HOST:PORT, https://HOST or unix:/PATH")
        self.scheme, self.host, self.port = parts.scheme, parts.hostname, parts.port
        # People copy the address that `loophole serve` prints, which ends in /v1.
        self.prefix = parts.path.rstrip("/").removesuffix("/v1")
        self.token = token or (unquote(parts.password) if parts.password else None)
        self._kept: deque[tuple[float, http.client.HTTPConnection]] = deque()
        self._pid = os.getpid()
        #: Not to be asked before this moment.
        self.rests_until = 0.0
        self.failures = 0

    def __str__(self) -> str:
        if self.unix:
            return f"unix:{self.unix}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{host}{port}{self.prefix}"

    def with_token(self, path: str) -> str:
        """An address for programs that send no header of ours: the token is its password."""
        if self.unix:
            raise ValueError("a socket of the file system has no address for other programs")
        return (
            str(self).replace("://", f"://any:{self.token}@", 1) + path
            if self.token
            else str(self) + path
        )

    def rest(self, seconds: float) -> None:
        """Leaves it alone: so long, or the longer the more often it failed, up to five seconds."""
        self.failures += 1
        wait = max(seconds, min(0.1 * 2 ** min(self.failures, 10), 5.0))
        self.rests_until = time.monotonic() + wait

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 60.0,
    ) -> Answer:
        """One request. Raises `Refused` for what is wrong with it and `Unavailable` where it may be asked again."""
        connection = self._connection(timeout)
        try:
            connection.request(method, self.prefix + path, body, self._headers(headers))
            got = connection.getresponse()
            answer = Answer(got.status, got.read())
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Unavailable(f"{self}: {_said(error)}", down=True) from error
        self._keep(connection, got)
        if answer.status >= 400:
            raise _problem(str(self), answer, got.headers.get("Retry-After"))
        return answer

    def lines(self, path: str, body: bytes, left: Callable[[], float]) -> Iterator[Any]:
        """Posts JSON and yields the lines of the answer as objects, as they come; `left` tells how many seconds it has."""
        connection = self._connection(left())
        sock, whole = connection.sock, False
        try:
            connection.request("POST", self.prefix + path, body, self._headers(None))
            got = connection.getresponse()
            if got.status >= 400:
                problem = _problem(
                    str(self), Answer(got.status, got.read()), got.headers.get("Retry-After")
                )
                raise problem
            for line in got:
                if line.strip():
                    yield json.loads(line)
                sock.settimeout(left())
            whole = True
        except (OSError, http.client.HTTPException, ValueError) as error:
            # A line that is cut off is no JSON.
            down = not isinstance(error, TimeoutError)
            raise Unavailable(f"{self}: {_said(error)}", down=down) from error
        finally:
            # Left in the middle, what still comes belongs to nobody.
            if whole:
                self._keep(connection, got)
            else:
                connection.close()

    def _headers(self, more: Mapping[str, str] | None) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        return {**headers, **(more or {})}

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        if self._pid != os.getpid():
            # A fork: these are the parent's, which goes on to speak through them.
            self._kept, self._pid = deque(), os.getpid()
        while self._kept:
            try:
                since, kept = self._kept.pop()
            except IndexError:  # another thread took it
                break
            if time.monotonic() - since < STALE and kept.sock is not None:
                kept.sock.settimeout(timeout)
                return kept
            kept.close()
        made = self._new(min(timeout, CONNECT))
        try:
            made.connect()
        except OSError as error:
            made.close()
            raise Unavailable(f"{self}: no connection: {_said(error)}", down=True) from error
        if self.unix is None:
            made.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.sock.settimeout(timeout)
        return made

    def _new(self, timeout: float) -> http.client.HTTPConnection:
        if self.unix is not None:
            return _UnixConnection(self.unix, timeout)
        if self.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(
                self.host, self.port, timeout=timeout, context=context
            )
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def _keep(self, connection: http.client.HTTPConnection, got: http.client.HTTPResponse) -> None:
        if got.will_close or connection.sock is None or self._pid != os.getpid():
            connection.close()
            return
        self._kept.append((time.monotonic(), connection))


def sent(body: Any) -> bytes:
    """A body as JSON. Halves of surrogate pairs, which a model can be made to say, become U+FFFD."""
    text = json.dumps(body, ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def encoded(content: bytes) -> str:
    """Base64 as text."""
    return base64.b64encode(content).decode("ascii")


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _problem(address: str, answer: Answer, retry_after: str | None) -> ServiceError:
    message, code = answer.body[:2000].decode("utf-8", "replace"), None
    try:
        told = json.loads(answer.body)
        error = told.get("error") or {}
        message = str(error.get("message") or told.get("detail") or message)
        code = error.get("code")
    except (ValueError, AttributeError):
        pass
    if answer.status in AGAIN:
        try:
            seconds = min(max(float(retry_after or 0.5), 0.1), 30.0)
        except ValueError:
            seconds = 0.5
        return Unavailable(f"{address} says {answer.status}: {message}", answer.status, seconds)
    return Refused(f"{address} says {answer.status}: {message}", answer.status, code)
