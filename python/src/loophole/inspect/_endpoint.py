"""Inspect's model as an endpoint of OpenAI's form on the loopback, for a program that plays against one."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

#: Bytes of a request's head and body.
HEAD, BODY = 64 << 10, 64 << 20


@asynccontextmanager
async def endpoint() -> AsyncIterator[tuple[str, str]]:
    """Serves within `agent_bridge`; gives the address and the key that it wants.

    What goes wrong in the model, a limit of the sample among it, ends the block with that error.
    """
    key = secrets.token_hex(16)
    failed: list[Exception] = []

    async def answer(stream: SocketStream) -> None:
        async with stream:
            try:
                status, said = await _answer(stream, key)
            except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
                return
            except Exception as error:
                failed.append(error)
                group.cancel_scope.cancel()
                return
            body = json.dumps(said).encode()
            head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            try:
                await stream.send(head.encode() + b"Connection: close\r\n\r\n" + body)
            except anyio.BrokenResourceError:
                pass  # it was called off

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, answer)
        try:
            yield f"http://127.0.0.1:{port}/v1", key
        except Exception as error:
            # Kept out of the group, which would wrap it.
            failed.append(error)
        group.cancel_scope.cancel()
    if failed:
        raise failed[0]


async def _answer(stream: SocketStream, key: str) -> tuple[int, dict[str, Any]]:
    buffered = BufferedByteReceiveStream(stream)
    head = (await buffered.receive_until(b"\r\n\r\n", HEAD)).decode("latin-1")
    first, *lines = head.split("\r\n")
    fields = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    # Whoever else is on this machine is no client.
    if fields.get("authorization") != f"Bearer {key}":
        return 401, {"error": {"message": "the key is wrong"}}
    if not first.startswith("POST /v1/chat/completions "):
        return 404, {"error": {"message": "only /v1/chat/completions is here"}}
    size = int(fields.get("content-length", "0"))
    if size > BODY:
        return 413, {"error": {"message": "too large"}}
    request = json.loads(await buffered.receive_exactly(size))
    return 200, await _complete(request)


async def _complete(request: dict[str, Any]) -> dict[str, Any]:
    # The bridge takes requests of this client for the model `inspect`; nothing is sent anywhere.
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletion

    async with AsyncOpenAI(api_key="none", base_url="http://127.0.0.1:1", max_retries=0) as client:
        told = await client.post("/chat/completions", cast_to=ChatCompletion, body=request)
    return told.model_dump(mode="json", exclude_none=True)
