"""What travels over the API about keys."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, WithJsonSchema

from production_server.access.keys import LONGEST_LIFE_S
from production_server.access.records import LONGEST_NAME, KeyInfo, NewKey
from production_server.access.scopes import USUAL, Scope
from production_server.web.api.schemas import Schema, to_time

DAY_S = 86_400
AnyScope = Annotated[Scope, WithJsonSchema({"type": "string", "enum": [scope.value for scope in Scope]})]


class KeyRequest(Schema):
    """What a key is for. Whose it is, unless that is said, it is called."""

    name: str = Field(min_length=1, max_length=LONGEST_NAME, examples=["anna's notebook"])
    client: str | None = Field(default=None, min_length=1, max_length=LONGEST_NAME, examples=["anna"])
    scopes: list[AnyScope] = Field(default=list(USUAL), min_length=1, max_length=len(Scope))
    expires_in_days: float | None = Field(default=None, gt=0, le=LONGEST_LIFE_S / DAY_S, examples=[90])

    def wanted(self) -> NewKey:
        """The key that is asked for."""
        return NewKey(
            name=self.name,
            client=self.client or self.name,
            scopes=frozenset(self.scopes),
            expires_in_s=None if self.expires_in_days is None else self.expires_in_days * DAY_S,
        )


class RotateRequest(Schema):
    """How long the key before still opens what it opened."""

    overlap_days: float = Field(default=1, ge=0, le=30)

    @property
    def overlap_s(self) -> float:
        return self.overlap_days * DAY_S


class KeyBody(Schema):
    """A key, without what proves it."""

    id: str
    name: str
    client: str
    scopes: list[AnyScope]
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    used: datetime | None

    @classmethod
    def of(cls, key: KeyInfo) -> Self:
        return cls(
            id=key.id,
            name=key.name,
            client=key.client,
            scopes=sorted(key.scopes),
            created=to_time(key.created_at),
            expires=None if key.expires_at is None else to_time(key.expires_at),
            revoked=None if key.revoked_at is None else to_time(key.revoked_at),
            used=None if key.used_at is None else to_time(key.used_at),
        )


class NewKeyBody(KeyBody):
    """A key that was just made: `key` is what nobody can read again."""

    key: str

    @classmethod
    def of_new(cls, made: KeyInfo, text: str) -> Self:
        return cls(key=text, **dict(KeyBody.of(made)))


class KeysBody(Schema):
    """All keys, the newest first."""

    keys: list[KeyBody]
