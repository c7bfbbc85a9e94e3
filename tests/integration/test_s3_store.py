"""The bucket that finished files live in, served by moto."""

import os
import socket
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest

from exports.errors import BadKey, NoSuchObject, StoreAway, StoreMissing, Superseded
from exports.object_store import s3
from exports.object_store.s3 import PART_BYTES, S3Store, client_of_process
from tests.harness.presigned import is_honoured
from tests.harness.s3 import SECRET_KEY, make_bucket, s3_server

KEY = "exports/0193-tenant/0193-export.csv"


@pytest.fixture(scope="module")
def bucket():
    with s3_server() as endpoint, pytest.MonkeyPatch.context() as patch:
        bucket = make_bucket(endpoint)
        for name, value in bucket.environment.items():
            patch.setenv(name, value)
        client_of_process.cache_clear()
        yield bucket
        close_clients()


def close_clients():
    for hurried in ({}, {"hurried": True}):
        client_of_process(os.getpid(), **hurried).close()
    client_of_process.cache_clear()


@pytest.fixture
def store(bucket):
    store = S3Store(bucket.name)
    yield store
    store.start_part(KEY, 9).discard()  # Aborts what a test left open.
    store.delete(KEY)


def content(store, key=KEY):
    return store.open(key).read()


def open_uploads(store):
    answer = store.client.list_multipart_uploads(Bucket=store.bucket)
    return [upload["Key"] for upload in answer.get("Uploads", ())]


class TestPart:
    def test_is_invisible_until_it_is_published(self, store):
        part = store.start_part(KEY, 1)
        for _ in range(3):
            part.write(b"x" * PART_BYTES)
        with pytest.raises(NoSuchObject):
            store.size(KEY)

        part.publish()
        assert store.size(KEY) == 3 * PART_BYTES

    def test_joins_writes_of_any_size_into_parts_that_s3_accepts(self, store):
        part = store.start_part(KEY, 1)
        blocks = [bytes([number % 251]) * 300_001 for number in range(60)]
        for block in blocks:
            part.write(block)
        part.publish()
        assert content(store) == b"".join(blocks)
        assert len(part.done) == 3

    @pytest.mark.parametrize("data", [b"", b"id,name\n"])
    def test_may_be_small(self, store, data):
        part = store.start_part(KEY, 1)
        part.write(data)
        part.publish()
        assert content(store) == data

    def test_may_be_published_without_a_write(self, store):
        store.start_part(KEY, 1).publish()
        assert content(store) == b""

    def test_of_a_zombie_that_slept_just_before_publish_leaves_the_winners_bytes(self, store):
        # Given an attempt that has written everything and now sleeps
        zombie = store.start_part(KEY, 1)
        zombie.write(b"late" * PART_BYTES)
        # And another that took over and published
        winner = store.start_part(KEY, 2)
        winner.write(b"in time")
        winner.publish()

        # When the first wakes up, then it is refused
        with pytest.raises(Superseded):
            zombie.publish()
        zombie.discard()
        assert content(store) == b"in time"
        assert open_uploads(store) == []

    def test_of_a_zombie_learns_at_its_next_write(self, store):
        zombie = store.start_part(KEY, 1)
        store.start_part(KEY, 2)
        with pytest.raises(Superseded):
            zombie.write(b"x" * PART_BYTES)

    def test_leaves_no_upload_open(self, store):
        store.start_part(KEY, 1)  # Killed without a word.
        discarded = store.start_part(KEY, 2)
        discarded.write(b"x" * PART_BYTES)
        discarded.discard()
        discarded.discard()
        assert open_uploads(store) == []

    def test_of_one_key_spares_the_uploads_of_another(self, store):
        other = store.start_part(KEY + "x", 1)
        store.start_part(KEY, 1)
        other.publish()
        assert content(store, KEY + "x") == b""

    def test_discarded_after_publish_takes_nothing_back(self, store):
        part = store.start_part(KEY, 1)
        part.write(b"here")
        part.publish()
        part.discard()
        assert content(store) == b"here"


class TestDownload:
    @pytest.fixture
    def link(self, store):
        part = store.start_part(KEY, 1)
        part.write(b"here")
        part.publish()
        return store.download(
            KEY, filename="items.csv", content_type="text/csv; charset=utf-8", seconds=60
        )

    def test_is_a_link_that_names_the_file(self, link):
        with urllib.request.urlopen(link) as answer:
            assert answer.read() == b"here"
            assert answer.headers["Content-Disposition"] == 'attachment; filename="items.csv"'
            assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"

    def test_is_honoured_for_as_long_as_it_says(self, link):
        now = datetime.now(UTC)
        assert is_honoured(link, secret=SECRET_KEY, now=now)
        assert not is_honoured(link, secret=SECRET_KEY, now=now + timedelta(seconds=61))

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("0193-tenant", "0193-stranger"),
            ("X-Amz-Expires=60", "X-Amz-Expires=6000"),
            ("items.csv", "items.exe"),
            ("http://127.0.0.1", "http://evil.example"),
        ],
    )
    def test_is_not_honoured_when_changed(self, link, old, new):
        assert old in link
        changed = link.replace(old, new)
        assert not is_honoured(changed, secret=SECRET_KEY, now=datetime.now(UTC))

    def test_is_not_honoured_when_another_key_signed_it(self, link):
        assert not is_honoured(link, secret="guessed", now=datetime.now(UTC))


class TestListObjects:
    @pytest.fixture
    def store(self, bucket):
        return S3Store(make_bucket(bucket.endpoint).name)

    def test_yields_what_is_published_one_folder_after_the_other(self, store):
        keys = ["exports/a-b/1.csv", "exports/a/1.csv", "exports/a/2.json", "exports/b/1.csv"]
        for key in [*reversed(keys), "doctor/1.csv"]:
            store.start_part(key, 1).publish()
        store.start_part(KEY, 1)

        found = list(store.list_objects("exports"))

        assert [each.key for each in found] == keys
        assert abs(found[0].modified_at - datetime.now(UTC)) < timedelta(minutes=1)

    def test_goes_on_to_the_next_page(self, store):
        keys = [f"exports/a/{number:04}.csv" for number in range(1_001)]
        for key in keys:  # Put, for a thousand uploads would take long.
            store.client.put_object(Bucket=store.bucket, Key=key, Body=b"")

        assert [each.key for each in store.list_objects("exports")] == keys

    def test_leaves_out_what_no_key_can_name(self, store):
        for key in ("exports/", "exports/no suffix", "exports/a//b.csv"):
            store.client.put_object(Bucket=store.bucket, Key=key, Body=b"")
        assert list(store.list_objects("exports")) == []


class TestSizes:
    @pytest.fixture
    def elsewhere(self, monkeypatch):
        """Let the store be at another address, and each call have the fifth of a second."""

        def move(address):
            close_clients()
            monkeypatch.setenv("AWS_ENDPOINT_URL", address)
            monkeypatch.setattr(s3, "HURRY", s3.Patience(0.2, 0.2, tries=2))

        yield move
        close_clients()

    def test_says_how_large_each_file_of_a_folder_is_with_one_call_for_a_thousand(self, bucket):
        store = S3Store(make_bucket(bucket.endpoint).name)
        sizes = {f"parts/a/{number:04}.csv": number % 7 for number in range(1_001)}
        for key, size in {**sizes, "parts/ab/1.csv": 1}.items():
            store.client.put_object(Bucket=store.bucket, Key=key, Body=b"x" * size)
        calls = []
        hurried = client_of_process(os.getpid(), hurried=True)
        hurried.meta.events.register("before-call.s3", lambda **_: calls.append(1))

        assert store.sizes("parts/a") == sizes
        assert len(calls) == 2
        assert store.sizes("parts/none") == {}

    def test_takes_no_bucket_that_is_not_there_for_an_empty_one(self, bucket):
        with pytest.raises(StoreAway):
            S3Store("no-such-bucket").sizes("parts/a")

    def test_says_so_of_a_server_that_takes_connections_and_answers_nothing(
        self, bucket, elsewhere
    ):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            elsewhere(f"http://127.0.0.1:{silent.getsockname()[1]}")
            with pytest.raises(StoreAway, match="Nothing was changed; try again"):
                S3Store(bucket.name).sizes("parts/a")

    def test_says_so_of_a_server_that_is_away(self, bucket, elsewhere):
        with socket.create_server(("127.0.0.1", 0)) as gone:
            address = f"http://127.0.0.1:{gone.getsockname()[1]}"
        elsewhere(address)
        with pytest.raises(StoreAway):
            S3Store(bucket.name).sizes("parts/a")


class TestRemoveStaleParts:
    @pytest.fixture(autouse=True)
    def began(self, monkeypatch):
        """When uploads began, by their keys: moto says 2010 of all of them."""
        began: dict[str, datetime] = {}
        uploads = S3Store._uploads

        def dated(self, prefix):
            for each in uploads(self, prefix):
                yield {**each, "Initiated": began.get(each["Key"], datetime.now(UTC))}

        monkeypatch.setattr(S3Store, "_uploads", dated)
        return began

    def test_removes_uploads_that_began_before(self, store, began):
        before = datetime.now(UTC) - timedelta(days=1)
        stale, probe = store.start_part(KEY, 1), store.start_part("doctor/0193.csv", 1)
        fresh = store.start_part(f"{KEY}x", 1)
        began |= dict.fromkeys((stale.key, probe.key), before - timedelta(seconds=1))

        assert store.remove_stale_parts("exports", before=before) == 1
        assert store.remove_stale_parts("exports", before=before) == 0

        assert open_uploads(store) == sorted([probe.key, fresh.key])
        with pytest.raises(Superseded):
            stale.publish()
        probe.discard(), fresh.discard()


class TestCheckIsThere:
    def test_tells_a_bucket_that_is_missing_from_an_empty_one(self, store):
        store.check_is_there()
        with pytest.raises(StoreMissing, match="s3://of-nobody is not there"):
            S3Store("of-nobody").check_is_there()


class TestS3Store:
    def test_deletes_any_number_of_times(self, store):
        store.start_part(KEY, 1).publish()
        store.delete(KEY)
        store.delete(KEY)
        with pytest.raises(NoSuchObject):
            store.open(KEY)

    @pytest.mark.parametrize("key", ["../outside.csv", "exports/../a.csv", "/a.csv", ""])
    def test_accepts_no_key_that_could_mean_another(self, store, key):
        for attempt in (store.open, store.size, store.delete, lambda key: store.start_part(key, 1)):
            with pytest.raises(BadKey):
                attempt(key)

    def test_refuses_a_file_name_that_could_forge_a_header(self, store):
        with pytest.raises(BadKey):
            store.download(KEY, filename='a"\r\nX: y.csv', content_type="text/csv", seconds=60)
