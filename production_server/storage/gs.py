"""Google Cloud Storage, by gcsfs, over its JSON API.

Credentials are Google's application default ones: `GOOGLE_APPLICATION_CREDENTIALS`, what `gcloud auth
application-default login` has left, a machine's service account. They are asked for reading only, but for a store of
models. A store at `STORAGE_EMULATOR_HOST` gets none.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from production_server.storage.locations import Location
from production_server.storage.objects import PAGE, replaced, too_large
from production_server.storage.remote import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, Entry, Listed, Refused

if TYPE_CHECKING:
    from aiohttp import ClientResponse

_FIELDS = "nextPageToken,items(name,generation,size)"


class GoogleStorage:
    """The dialect of Google Cloud Storage.

    An object's etag is its generation, which is new with each content. What Google calls so changes with metadata, too.
    """

    def __init__(self, *, writes: bool = False) -> None:
        self._access = "read_write" if writes else "read_only"

    def open(self) -> Any:
        from aiohttp import ClientTimeout
        from gcsfs.core import GCSFileSystem

        timeout = ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=READ_TIMEOUT_S)
        filesystem = GCSFileSystem(
            token="anon",  # noqa: S106  # the word for none
            access=self._access,
            session_kwargs={"timeout": timeout},
            skip_instance_cache=True,
            use_listings_cache=False,
        )
        # Left to itself, gcsfs would also take what it finds pickled in the home, and for ever go on without any
        # credentials if there was none to be had at the beginning.
        if filesystem.on_google:
            filesystem.credentials.connect("google_default")
        return filesystem

    async def list(self, filesystem: Any, location: Location, *, after: str) -> Listed:
        wanted = {"prefix": location.key, "maxResults": str(PAGE), "fields": _FIELDS}
        if after:
            wanted["startOffset"] = after
        while True:
            async with _asked(filesystem, f"b/{quote(location.bucket)}/o", wanted) as response:
                answer = await response.json()
            # The offset itself is listed, too; and a page may be empty, though others follow.
            found = [_entry(each) for each in answer.get("items", []) if each["name"] != after]
            following = answer.get("nextPageToken")
            if found or not following:
                return Listed(found, found[-1].key if found else after, is_last=not following)
            wanted["pageToken"] = following

    async def read(self, filesystem: Any, location: Location, *, etag: str, max_bytes: int) -> bytes:
        path = f"b/{quote(location.bucket)}/o/{quote(location.key, safe='')}"
        data = bytearray()
        # The bytes as they are stored: of compressed ones nobody knows beforehand how many they become.
        async with _asked(filesystem, path, {"alt": "media"}, auto_decompress=False) as response:
            # A condition in the request would have said less: it is not met by what is gone, either.
            if etag and response.headers.get("X-Goog-Generation") != etag:
                raise replaced(location)
            size_bytes = response.content_length or 0
            async for part in response.content.iter_any():
                data += part
                size_bytes = max(size_bytes, len(data))
                if size_bytes > max_bytes:
                    raise too_large(location, size_bytes, max_bytes)
        return bytes(data)

    def status_of(self, exc: BaseException) -> int:
        from gcsfs.retry import HttpError
        from google.auth.exceptions import DefaultCredentialsError

        if isinstance(exc, HttpError):
            # gcsfs says so of every token that it did not get, also where whoever gives them only was away.
            return 503 if _may_pass(exc.__cause__) else int(exc.code or 0)
        return 401 if isinstance(exc, DefaultCredentialsError) else 0


@asynccontextmanager
async def _asked(
    filesystem: Any, path: str, wanted: Mapping[str, str], *, auto_decompress: bool = True
) -> AsyncIterator[ClientResponse]:
    """The answer to one request; gcsfs' own would follow redirects, try again for a minute, and take any size.

    Raises:
        Refused: it is not 200.
    """
    headers = {"Accept-Encoding": "gzip"}
    # From time to time that asks for a new token, and waits for it.
    await asyncio.to_thread(filesystem.credentials.apply, headers)
    session = await filesystem._set_session()  # noqa: SLF001  # fsspec's way to call from a loop
    async with session.get(
        filesystem.base + path,
        params=wanted,
        headers=headers,
        allow_redirects=False,
        auto_decompress=auto_decompress,
    ) as response:
        if response.status != 200:
            raise Refused(response.status)
        yield response


def _may_pass(exc: BaseException | None) -> bool:
    from google.auth.exceptions import RefreshError, TransportError

    return isinstance(exc, RefreshError) and (exc.retryable or isinstance(exc.__cause__, TransportError))


def _entry(item: Mapping[str, str]) -> Entry:
    return Entry(item["name"], item.get("generation", ""), int(item.get("size", 0)))
