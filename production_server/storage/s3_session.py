"""How S3 is asked over HTTP: never anybody but the store itself, whatever its answers say of where to go.

Imported when a bucket is first used. Left alone, aiohttp follows redirects: a store, or whoever answers in its place,
could have this machine ask its neighbours, or the metadata service of its cloud. That a bucket is in another region, S3
says in a header, and botocore does what it says; without that header it would ask for the bucket's region without end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiobotocore.httpsession import AIOHTTPSession

REDIRECTS = {301, 302, 303, 307, 308}


class Redirected(Exception):
    """Raised instead of a redirect; `response` says the status as in botocore's own exceptions."""

    def __init__(self, status: int) -> None:
        self.response = {"ResponseMetadata": {"HTTPStatusCode": status}}
        super().__init__(f"the store answers {status}")


@dataclass(frozen=True, slots=True)
class _Direct:
    session: Any

    async def request(self, *arguments: Any, **more: Any) -> Any:
        answer = await self.session.request(*arguments, **more, allow_redirects=False)
        if answer.status in REDIRECTS and "x-amz-bucket-region" not in answer.headers:
            answer.close()
            raise Redirected(answer.status)
        return answer


class DirectSession(AIOHTTPSession):  # type: ignore[misc]  # has no types
    """A session that follows no redirects."""

    async def _get_session(self, proxy_url: str | None) -> _Direct:
        return _Direct(await super()._get_session(proxy_url))
