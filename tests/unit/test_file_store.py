"""The folder that finished files live in."""

import os
from datetime import UTC, datetime, timedelta

import pytest

from exports.errors import (
    BadKey,
    BadStorageUrl,
    NoSuchObject,
    StoreAway,
    StoreMissing,
    Superseded,
)
from exports.object_store import store_from_url
from exports.object_store.file import FileStore

KEY = "exports/0193-tenant/0193-export.csv"


@pytest.fixture
def store(tmp_path):
    return FileStore(tmp_path)


def content(store, key=KEY):
    with store.open(key) as file:
        return file.read()


def published(store, data, number=1):
    part = store.start_part(KEY, number)
    part.write(data)
    part.publish()


class TestPart:
    def test_is_invisible_until_it_is_published(self, store):
        part = store.start_part(KEY, 1)
        part.write(b"half a ")
        with pytest.raises(NoSuchObject, match="Request the export again"):
            store.open(KEY)

        part.write(b"file")
        part.publish()

        assert content(store) == b"half a file"
        assert store.size(KEY) == len(b"half a file")

    def test_may_be_empty(self, store):
        published(store, b"")
        assert content(store) == b""

    def test_replaces_the_whole_file_for_those_who_open_it_later(self, store):
        published(store, b"the first run")
        with store.open(KEY) as reader:
            published(store, b"a rerun", number=2)
            assert reader.read() == b"the first run"
        assert content(store) == b"a rerun"

    def test_of_a_zombie_that_slept_just_before_publish_leaves_the_winners_bytes(self, store):
        # Given an attempt that has written everything and now sleeps
        zombie = store.start_part(KEY, 1)
        zombie.write(b"late")
        # And another that took over and published
        published(store, b"in time", number=2)

        # When the first wakes up, then it is refused
        with pytest.raises(Superseded):
            zombie.publish()
        zombie.discard()
        assert content(store) == b"in time"

    def test_of_a_zombie_is_refused_while_its_successor_still_writes(self, store):
        zombie = store.start_part(KEY, 1)
        successor = store.start_part(KEY, 2)
        with pytest.raises(Superseded):
            zombie.publish()

        successor.write(b"in time")
        successor.publish()
        assert content(store) == b"in time"

    def test_is_refused_to_a_predecessor_that_starts_late(self, store):
        started = store.start_part(KEY, 2)
        with pytest.raises(Superseded):
            store.start_part(KEY, 1)
        started.discard()

    def test_leaves_nothing_behind(self, store, tmp_path):
        store.start_part(KEY, 1).file.close()  # Killed without a word.
        discarded = store.start_part(KEY, 2)
        discarded.write(b"some")
        discarded.discard()
        discarded.discard()
        published(store, b"all", number=3)
        assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["0193-export.csv"]

    def test_of_one_key_spares_the_parts_of_another(self, store):
        other = store.start_part("exports/0193-tenant/0193-export.json", 1)
        store.start_part(KEY, 7).discard()
        other.publish()
        assert content(store, "exports/0193-tenant/0193-export.json") == b""


class TestFileStore:
    def test_opens_a_download(self, store):
        published(store, b"here")
        with store.download(KEY, filename="a.csv", content_type="text/csv", seconds=60) as file:
            assert file.read() == b"here"

    def test_deletes_any_number_of_times(self, store):
        published(store, b"here")
        store.delete(KEY)
        store.delete(KEY)
        with pytest.raises(NoSuchObject):
            store.size(KEY)

    @pytest.mark.parametrize(
        "key",
        [
            "../outside.csv",
            "exports/../../outside.csv",
            "/etc/passwd.csv",
            "exports//a.csv",
            "exports/./a.csv",
            "exports\\..\\a.csv",
            "exports/a.csv\n",
            "exports/a.csv\0",
            "exports/ａ.csv",
            ".parts/a.csv",
            "exports/.hidden",
            "exports",
            "",
        ],
    )
    def test_accepts_no_key_that_could_lead_out_of_its_folder(self, store, key):
        for attempt in (store.open, store.size, store.delete, lambda key: store.start_part(key, 1)):
            with pytest.raises(BadKey):
                attempt(key)


class TestListObjects:
    def test_yields_what_is_published_one_folder_after_the_other(self, store):
        keys = ["exports/a/1.csv", "exports/a/2.json", "exports/a/b/1.csv", "exports/b/1.csv"]
        for key in reversed(keys):
            part = store.start_part(key, 1)
            part.publish()
        store.start_part("exports/c/1.csv", 1).file.close()
        store.start_part("exports-of-others/1.csv", 1).publish()

        assert [each.key for each in store.list_objects("exports")] == keys

    def test_says_when_a_file_was_last_written_to(self, store, tmp_path):
        published(store, b"x")
        moment = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
        os.utime(tmp_path / KEY, (moment.timestamp(),) * 2)

        [found] = store.list_objects("exports")

        assert found.modified_at == moment

    def test_leaves_out_what_no_key_can_name(self, store, tmp_path):
        published(store, b"x")
        for name in (".nfs0001", "no suffix", "ünïcode.csv", "exports"):
            (tmp_path / "exports" / name).touch()

        assert [each.key for each in store.list_objects("exports")] == [KEY]

    def test_yields_nothing_where_there_is_no_folder(self, store):
        assert list(store.list_objects("exports")) == []

    def test_takes_no_folder_that_it_may_not_read_for_an_empty_one(self, store, monkeypatch):
        def refuse(*_):
            raise PermissionError

        monkeypatch.setattr(os, "scandir", refuse)
        with pytest.raises(PermissionError):
            list(store.list_objects("exports"))


class TestSizes:
    def test_says_how_large_each_file_of_a_folder_is(self, store):
        for key, data in {
            "parts/a/1.csv": b"x",
            "parts/a/2.csv": b"",
            "parts/ab/1.csv": b"y",
        }.items():
            part = store.start_part(key, 1)
            part.write(data)
            part.publish()

        assert store.sizes("parts/a") == {"parts/a/1.csv": 1, "parts/a/2.csv": 0}
        assert store.sizes("parts/none") == {}

    def test_takes_no_store_that_is_not_there_for_an_empty_one(self, tmp_path):
        with pytest.raises(StoreAway, match="can't be reached"):
            FileStore(tmp_path / "gone").sizes("parts/a")

    def test_says_so_where_it_may_not_read(self, store, monkeypatch):
        def refuse(*_):
            raise PermissionError

        monkeypatch.setattr(os, "scandir", refuse)
        with pytest.raises(StoreAway):
            store.sizes("parts/a")


class TestRemoveStaleParts:
    def test_removes_those_that_nobody_has_written_to_since(self, store):
        parts = [store.start_part(f"exports/0193/{name}.csv", 1) for name in ("old", "new")]
        other = store.start_part("doctor/0193.csv", 1)
        moment = datetime.now(UTC) - timedelta(days=2)
        for part in (parts[0], other):
            os.utime(part.path, (moment.timestamp(),) * 2)
        before = datetime.now(UTC) - timedelta(days=1)

        assert store.remove_stale_parts("exports", before=before) == 1
        assert store.remove_stale_parts("exports", before=before) == 0

        parts[1].publish(), other.publish()
        with pytest.raises(Superseded):
            parts[0].publish()

    def test_finds_none_in_a_new_store(self, store):
        assert store.remove_stale_parts("exports", before=datetime.now(UTC)) == 0


class TestCheckIsThere:
    def test_tells_a_folder_that_is_missing_from_an_empty_one(self, store, tmp_path):
        store.check_is_there()
        with pytest.raises(StoreMissing, match="gone is not there"):
            FileStore(tmp_path / "gone").check_is_there()


class TestStoreFromUrl:
    def test_takes_a_path_as_it_stands(self, tmp_path):
        odd = tmp_path / "100% mine?"
        store = store_from_url(f"file://{odd}")
        published(store, b"x")
        assert (odd / KEY).read_bytes() == b"x"

    @pytest.mark.parametrize(
        "url",
        ["file://relative/path", "s3://", "s3://Bad_Bucket", "s3://bucket/prefix", "gs://b", ""],
    )
    def test_says_which_variable_is_wrong(self, url):
        with pytest.raises(BadStorageUrl, match="^EXPORTS_STORAGE_URL: .* Example: "):
            store_from_url(url)
