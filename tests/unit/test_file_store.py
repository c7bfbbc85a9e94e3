"""The folder that finished files live in."""

import pytest

from exports.errors import BadKey, BadStorageUrl, NoSuchObject, Superseded
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
