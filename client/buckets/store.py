"""An object store: notifications, topics, objects that are put there. With `store_errors` it alone knows botocore."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config

from client.buckets.notification import Configuration, Notification, with_one, without
from client.buckets.store_errors import translated
from client.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

MODELS = Path(__file__).parent / "aws_models"
"""What Ceph adds to Amazon's protocol, in the form that botocore's extensions have."""
DEFAULT_REGION = "us-east-1"
# Only Ceph calls its requests so. A guess would not do: what removes a notification there removes a bucket elsewhere.
_CEPHS_REQUEST = re.compile(r"tx[0-9a-f]{21}-[0-9a-f]{10}-[0-9a-f]+-.+")


class BucketStore:
    """A store, by the environment, profiles and endpoint of the AWS tools. Blocks; not thread-safe.

    Every method raises what `store_errors.translated` says.
    """

    def __init__(self, endpoint_url: str | None = None, *, secret: str = "") -> None:
        self._endpoint, self._secret = endpoint_url or "the store", secret
        self.is_ceph = False
        with self._asking("the store"):
            session = botocore.session.get_session()
            loader = session.get_component("data_loader")
            loader.search_paths.append(str(MODELS))
            loader.extras_types.append("ceph")
            options = {
                "endpoint_url": endpoint_url,
                "region_name": session.get_config_variable("region") or DEFAULT_REGION,
                "config": Config(
                    connect_timeout=5,
                    read_timeout=30,
                    retries={"mode": "standard", "total_max_attempts": 2},
                ),
            }
            self._s3, self._sns = (session.create_client(name, **options) for name in ("s3", "sns"))
        self._endpoint = self._s3.meta.endpoint_url

    def configuration(self, bucket: str) -> Configuration:
        """All notifications of a bucket."""
        with self._asking(f"s3://{bucket}"):
            answer: dict[str, Any] = self._s3.get_bucket_notification_configuration(Bucket=bucket)
        request_id = answer.pop("ResponseMetadata", {}).get("RequestId") or ""
        self.is_ceph = _CEPHS_REQUEST.fullmatch(request_id) is not None
        return answer

    def put(self, bucket: str, configuration: Configuration, notification: Notification) -> None:
        """Add a notification to those of the configuration, or replace that of its name."""
        # Ceph merges what is put by name; others replace everything.
        kept = {} if self.is_ceph else configuration
        self._save(bucket, with_one(kept, notification))

    def drop(self, bucket: str, configuration: Configuration, name: str) -> None:
        """Leave only the others of the configuration."""
        if not self.is_ceph:
            self._save(bucket, without(configuration, name))
            return
        with self._asking(f"s3://{bucket}"):
            self._s3.delete_bucket_notification(Bucket=bucket, NotificationId=name)

    def upload(self, bucket: str, key: str, content: bytes, *, content_type: str) -> None:
        """Have an object, in place of any that there was."""
        with self._asking(f"s3://{bucket}"):
            self._s3.put_object(Bucket=bucket, Key=key, Body=content, ContentType=content_type)

    def create_topic(self, name: str, address: str) -> str:
        """Have a topic that posts to an address until it is taken, and answer its ARN; one of that name is changed."""
        attributes = {"push-endpoint": address, "persistent": "true"}
        with self._asking(f"topic {name}"):
            return str(self._sns.create_topic(Name=name, Attributes=attributes)["TopicArn"])

    def address_of(self, arn: str) -> str:
        """Where a topic posts to; empty if the store does not say."""
        with contextlib.suppress(Refused), self._asking(f"topic {arn}"):
            told = self._sns.get_topic_attributes(TopicArn=arn)["Attributes"].get("EndPoint", "")
            found = re.search(r'"EndpointAddress":"(.*?)"', told)
            return found[1] if found else ""
        return ""

    def topics(self) -> Iterator[str]:
        """The ARNs of all topics."""
        with self._asking("topics"):
            pages = self._sns.get_paginator("list_topics").paginate()
            # Ceph tells of one twice.
            yield from sorted({topic["TopicArn"] for page in pages for topic in page.get("Topics", ())})

    def delete_topic(self, arn: str) -> None:
        """Delete a topic; none of that name is no error."""
        with self._asking(f"topic {arn}"):
            self._sns.delete_topic(TopicArn=arn)

    def _save(self, bucket: str, configuration: Configuration) -> None:
        with self._asking(f"s3://{bucket}"):
            self._s3.put_bucket_notification_configuration(
                Bucket=bucket, NotificationConfiguration=configuration
            )

    def _asking(self, place: str) -> contextlib.AbstractContextManager[None]:
        return translated(place, endpoint=self._endpoint, secret=self._secret)
