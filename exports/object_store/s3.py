"""Keeps finished files in a bucket of S3, or of anything that speaks its protocol."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from exports.errors import NoSuchObject, StoreAway, StoreMissing, Superseded
from exports.object_store.base import KEY, StoredObject, checked

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef, MultipartUploadTypeDef

#: S3 takes parts of 5 MiB or more (but for the last) and 10,000 of them: files up to 78 GiB.
PART_BYTES = 8 * 1024 * 1024

#: S3 and its imitators use several names for the same thing.
MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
MISSING_BUCKET = frozenset({"NoSuchBucket", "404", "NotFound"})

#: Where a server that is not Amazon's listens; django-storages made the first name popular.
ENDPOINT_VARIABLES = ("AWS_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


class Patience(NamedTuple):
    connect_seconds: float
    read_seconds: float
    tries: int


CALM = Patience(10, 60, tries=5)
HURRY = Patience(3, 8, tries=2)

_client_lock = threading.Lock()


class S3Part:
    """A multipart upload of its own, completed when all its bytes are there."""

    def __init__(self, client: S3Client, bucket: str, key: str) -> None:
        self.client, self.bucket, self.key = client, bucket, key
        self.upload_id = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        self.done: list[CompletedPartTypeDef] = []
        self.waiting: list[bytes] = []
        self.waiting_bytes = 0

    def write(self, data: bytes) -> None:
        self.waiting.append(data)
        self.waiting_bytes += len(data)
        if self.waiting_bytes >= PART_BYTES:
            self._upload()

    def publish(self) -> None:
        if self.waiting or not self.done:  # S3 completes no upload without a part.
            self._upload()
        with lost_upload_is_superseded(self.key):
            self.client.complete_multipart_upload(
                Bucket=self.bucket,
                Key=self.key,
                UploadId=self.upload_id,
                MultipartUpload={"Parts": self.done},
            )

    def discard(self) -> None:
        self.waiting.clear()
        abort(self.client, self.bucket, self.key, self.upload_id)

    def _upload(self) -> None:
        """Send what waits as the next part; botocore retries what the network broke."""
        number = len(self.done) + 1
        with lost_upload_is_superseded(self.key):
            answer = self.client.upload_part(
                Bucket=self.bucket,
                Key=self.key,
                UploadId=self.upload_id,
                PartNumber=number,
                Body=b"".join(self.waiting),
            )
        self.done.append({"PartNumber": number, "ETag": answer["ETag"]})
        self.waiting.clear()
        self.waiting_bytes = 0


class S3Store:
    def __init__(self, bucket: str) -> None:
        self.bucket = bucket

    @property
    def client(self) -> S3Client:
        return client_of_process(os.getpid())

    def start_part(self, key: str, number: int) -> S3Part:
        # An upload carries no number of ours, so every one that is open counts as older; a caller
        # asks its fence before it starts, and the loser of this race tries again.
        for upload in self._uploads(checked(key)):
            if upload["Key"] == key:
                abort(self.client, self.bucket, key, upload["UploadId"])
        return S3Part(self.client, self.bucket, key)

    def open(self, key: str) -> BinaryIO:
        with missing_is_no_such_object(key):
            body = self.client.get_object(Bucket=self.bucket, Key=checked(key))["Body"]
        return cast(BinaryIO, body)

    def size(self, key: str) -> int:
        with missing_is_no_such_object(key):
            return self.client.head_object(Bucket=self.bucket, Key=checked(key))["ContentLength"]

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=checked(key))

    def download(self, key: str, *, filename: str, content_type: str, seconds: int) -> str:
        return self.client.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self.bucket,
                "Key": checked(key),
                "ResponseContentDisposition": f'attachment; filename="{checked(filename)}"',
                "ResponseContentType": content_type,
            },
            ExpiresIn=seconds,
        )

    def check_is_there(self) -> None:
        try:
            self.client.head_bucket(Bucket=self.bucket)
        except ClientError as error:
            if code(error) in MISSING_BUCKET:
                raise StoreMissing(f"s3://{self.bucket}") from error
            raise

    def list_objects(self, folder: str) -> Iterator[StoredObject]:
        return self._list(self.client, folder)

    def sizes(self, folder: str) -> dict[str, int]:
        client = client_of_process(os.getpid(), hurried=True)
        try:
            return {each.key: each.size_bytes for each in self._list(client, folder)}
        except (BotoCoreError, ClientError) as error:
            raise StoreAway from error

    def forget_folder(self, folder: str) -> None:
        """Do nothing: a bucket has keys, and no folders."""

    def remove_stale_parts(self, folder: str, *, before: datetime) -> int:
        # S3 tells when an upload began, not its last part: `before` must leave an attempt its time.
        uploads = self._uploads(f"{folder}/")
        stale = [upload for upload in uploads if upload["Initiated"] < before]
        for upload in stale:
            abort(self.client, self.bucket, upload["Key"], upload["UploadId"])
        return len(stale)

    def _list(self, client: S3Client, folder: str) -> Iterator[StoredObject]:
        pages = client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.bucket, Prefix=f"{folder}/"):
            for each in page.get("Contents", ()):
                if KEY.fullmatch(each["Key"]):
                    yield StoredObject(each["Key"], each["LastModified"], each["Size"])

    def _uploads(self, prefix: str) -> Iterator[MultipartUploadTypeDef]:
        pages = self.client.get_paginator("list_multipart_uploads")
        for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
            yield from page.get("Uploads", ())


@functools.cache
def client_of_process(pid: int, *, hurried: bool = False) -> S3Client:
    """
    Return this process's client. A forked child makes its own: sockets can't be shared.

    One that is hurried gives a server up that says nothing after some 20 seconds, not 5 minutes.
    """
    patience = HURRY if hurried else CALM
    endpoint = next(filter(None, map(os.environ.get, ENDPOINT_VARIABLES)), None)
    config = Config(
        signature_version="s3v4",
        connect_timeout=patience.connect_seconds,
        read_timeout=patience.read_seconds,
        retries={"mode": "standard", "total_max_attempts": patience.tries},
        # Checksums that AWS invented lately are refused by many servers that speak S3.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if endpoint else "auto"},
    )
    with _client_lock:  # Making a client is not safe in threads; using one is.
        session = boto3.session.Session()
        region = session.region_name or "us-east-1"
        client: S3Client = session.client(
            "s3", endpoint_url=endpoint, region_name=region, config=config
        )
    return client


def abort(client: S3Client, bucket: str, key: str, upload_id: str) -> None:
    """Abort an upload and let S3 forget its parts. Idempotent."""
    try:
        client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
    except ClientError as error:
        if code(error) != "NoSuchUpload":
            raise


@contextlib.contextmanager
def lost_upload_is_superseded(key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if code(error) == "NoSuchUpload":
            raise Superseded(key) from error
        raise


@contextlib.contextmanager
def missing_is_no_such_object(key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if code(error) in MISSING:
            raise NoSuchObject(key) from error
        raise


def code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")
