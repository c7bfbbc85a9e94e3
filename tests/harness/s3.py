"""A server that speaks S3, for stores under test; its signatures are checked by `presigned`."""

import contextlib
import functools
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
from moto.s3.exceptions import NoSuchUpload
from moto.s3.models import S3Backend
from moto.server import ThreadedMotoServer

ACCESS_KEY = "an-access-key"
SECRET_KEY = "a-secret-key-that-only-tests-know"


@dataclass(frozen=True)
class Bucket:
    """A bucket of its own, and the variables that make a process use it."""

    name: str
    endpoint: str

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """Serve S3 on a free port of loopback; yields its address."""
    answer_as_s3_does("upload_part")
    answer_as_s3_does("complete_multipart_upload")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def make_bucket(endpoint: str) -> Bucket:
    bucket = Bucket(f"offload-{uuid.uuid4().hex[:12]}", endpoint)
    client = boto3.session.Session(ACCESS_KEY, SECRET_KEY).client(
        "s3", endpoint_url=endpoint, region_name="eu-central-1"
    )
    client.create_bucket(
        Bucket=bucket.name,
        CreateBucketConfiguration={"LocationConstraint": "eu-central-1"},
    )
    return bucket


def answer_as_s3_does(name: str) -> None:
    """Make a call about an aborted upload answer 404 `NoSuchUpload`; moto's own answer is 500."""
    original: Callable[..., Any] = getattr(S3Backend, name)
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def checked(self: Any, bucket_name: str, multipart_id: str, *rest: Any) -> Any:
        if multipart_id not in self.get_bucket(bucket_name).multiparts:
            raise NoSuchUpload(upload_id=multipart_id)
        return original(self, bucket_name, multipart_id, *rest)

    setattr(S3Backend, name, checked)
