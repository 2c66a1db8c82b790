from __future__ import annotations

import gzip
import io
import json
import zipfile
import zlib
from pathlib import Path

import pytest

from datasets_app.core.reading_lines import Limits, Line, Rejected, UnreadableFile, open_lines

SMALL = Limits(line_bytes=1000, ratio=10, ratio_after=10_000, unpacked_bytes=1 << 20, members=3)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def lines(path: Path, limits: Limits = SMALL) -> list[tuple[int, bytes]]:
    return [(entry.number, entry.raw) for entry in open_lines(path, limits) if isinstance(entry, Line)]


def refusals(path: Path, limits: Limits = SMALL) -> list[tuple[int, str]]:
    return [(entry.line, entry.reason) for entry in open_lines(path, limits) if isinstance(entry, Rejected)]


def zipped(**members: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "."), data)
    return target.getvalue()


ROWS = b'{"a":1}\r\n\n  {"b":2}  \n{"c":3}'
NUMBERED = [(1, b'{"a":1}'), (3, b'{"b":2}'), (4, b'{"c":3}')]


@pytest.mark.parametrize(
    "data",
    [ROWS, b"\xef\xbb\xbf" + ROWS, gzip.compress(ROWS), gzip.compress(ROWS[:9]) + gzip.compress(ROWS[9:]) + b"\0" * 9],
    ids=["plain", "byte order mark", "gzip", "two gzip members and padding"],
)
def test_lines_keep_their_numbers(tmp_path, data):
    assert lines(write(tmp_path / "rows", data)) == NUMBERED


def test_a_list_is_numbered_by_record(tmp_path):
    for data in (b'[{"a":1},\n\n{"b":2}]', b'{"data":[{"a":1},{"b":2}]}', b'{\n"a":1}\n{\n"b":2}'):
        found = [json.loads(raw) for _, raw in lines(write(tmp_path / "rows.json", data))]
        assert found == [{"a": 1}, {"b": 2}]


def test_members_of_an_archive_are_numbered_through(tmp_path):
    path = write(
        tmp_path / "rows.zip", zipped(one__jsonl=b'{"a":1}\n{"b":2}\n', two__json=b'[{"c":3}]', __DS_Store=b"x")
    )
    assert [(entry.number, entry.where, entry.raw) for entry in open_lines(path)] == [
        (1, "one.jsonl", b'{"a":1}'),
        (2, "one.jsonl", b'{"b":2}'),
        (3, "two.json", b'{"c":3}'),
    ]


def test_the_same_line_has_the_same_key_anywhere(tmp_path):
    first = list(open_lines(write(tmp_path / "a", b'{"x":1}\n{"a":1}\n')))
    second = list(open_lines(write(tmp_path / "b", gzip.compress(b'  {"a":1}\r\n'))))
    assert first[1].key == second[0].key != first[0].key
    assert len(first[0].key) == 16


def test_offsets_reach_the_size_of_the_file(tmp_path):
    path = write(tmp_path / "rows", b'{"a":1}\n' * 300_000)
    offsets = [entry.offset for entry in open_lines(path)]
    assert offsets == sorted(offsets)
    assert (len(set(offsets)) > 1, offsets[-1]) == (True, path.stat().st_size)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "bad is empty."),
        (bytes(range(256)) * 8, "bad is a binary file, not JSON; give JSON lines or a JSON list."),
        (gzip.compress(b"\0" * 5000, mtime=0), "bad is a binary file, not JSON; give JSON lines or a JSON list."),
        ('{"a":1}'.encode("utf-16"), "bad is saved as UTF-16; save it as UTF-8."),
        (
            gzip.compress(b"PAR1....PAR1", mtime=0),
            "bad is a Parquet file inside an archive; give the Parquet file itself.",
        ),
        (b"PK\x03\x04 not really", "bad is a damaged zip archive; make it again."),
        (zipped(), "bad holds no files."),
        (zipped(a=b"1", b=b"2", c=b"3", d=b"4"), "bad holds 4 files; the limit is 3."),
    ],
    # archives hold the time they were made at, which must not get into a test's name
    ids=["empty", "binary", "gzip of zeros", "utf-16", "gzip of parquet", "no zip", "empty zip", "too many members"],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path, data, sentence):
    with pytest.raises(UnreadableFile) as refused:
        list(open_lines(write(tmp_path / "bad", data), SMALL))
    assert str(refused.value) == sentence


def test_folders_and_missing_files(tmp_path):
    for path, sentence in (
        (tmp_path, f"{tmp_path.name} is a folder; give a file."),
        (tmp_path / "none.jsonl", "none.jsonl does not exist; check the path."),
        (Path("/dev/null"), "null is not a regular file; give a file."),
    ):
        with pytest.raises(UnreadableFile) as refused:
            list(open_lines(path))
        assert str(refused.value) == sentence


def test_a_line_that_is_too_long_is_refused_with_the_beginning_of_its_text(tmp_path):
    path = write(tmp_path / "rows", b'{"a":1}\n{"b":"' + b"x" * 90_000 + b'"}\n{"c":3}\n')
    assert lines(path) == [(1, b'{"a":1}'), (3, b'{"c":3}')]
    refused = [entry for entry in open_lines(path, SMALL) if isinstance(entry, Rejected)]
    assert [(e.line, e.reason, len(e.text), e.fatal) for e in refused] == [
        (2, "The record is longer than 0.000954 MB; shorten it or leave it out.", 1 << 14, False)
    ]


def test_the_default_limits_take_what_is_real_and_refuse_fifty_megabytes(tmp_path):
    path = tmp_path / "rows.jsonl"
    with path.open("wb") as file:
        file.write(b'{"a":1}\n"' + b"x" * (20 << 20) + b'"\n"' + b"x" * (50 << 20) + b'"\n{"c":3}\n')
    entries = list(open_lines(path))
    assert [(type(e).__name__, e.line if isinstance(e, Rejected) else e.number) for e in entries] == [
        ("Line", 1),
        ("Line", 2),
        ("Rejected", 3),
        ("Line", 4),
    ]
    assert entries[2].reason == "The record is longer than 32 MB; shorten it or leave it out."


def truncated(data: bytes) -> bytes:
    """A gzip stream that ends after the data without its end mark, as a broken download does."""
    packer = zlib.compressobj(wbits=31)
    return packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)


ENDS = "The compressed file ends too early; the lines before this one were read."


def test_truncated_gzip_gives_the_lines_before_and_one_sentence(tmp_path):
    path = write(tmp_path / "rows.gz", truncated(b'{"a":1}\n{"b":2}\n{"c":'))
    assert lines(path) == [(1, b'{"a":1}'), (2, b'{"b":2}')]
    assert [(e.line, e.reason, e.text, e.fatal) for e in open_lines(path) if isinstance(e, Rejected)] == [
        (3, ENDS, '{"c":', True)
    ]
    whole = write(tmp_path / "whole.gz", truncated(b'{"a":1}\n{"b":2}'))  # the last line happens to be complete
    assert (lines(whole), refusals(whole)) == ([(1, b'{"a":1}'), (2, b'{"b":2}')], [(3, ENDS)])


def test_a_truncated_list_in_gzip(tmp_path):
    path = write(tmp_path / "rows.gz", truncated(b'[{"a":1},{"b":'))
    assert (lines(path), refusals(path)) == (
        [(1, b'{"a":1}')],
        [(2, "The record is not closed: the file ends in its middle."), (3, ENDS)],
    )


def test_damaged_gzip(tmp_path):
    packed = bytearray(gzip.compress(b"\n".join(b'{"a":%d}' % n for n in range(2000)), mtime=0))
    packed[-6] ^= 0xFF  # the checksum
    path = write(tmp_path / "rows.gz", bytes(packed))
    assert refusals(path)[-1][1] == "The compressed file is damaged here; reading stopped."


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: zipped(rows__jsonl=data)], ids=["gzip", "zip"])
def test_a_bomb_is_stopped_while_it_unpacks(tmp_path, pack):
    path = write(tmp_path / "bomb", pack(b'{"a":1}\n' + b" \n" * 3_000_000))
    entries = list(open_lines(path, SMALL))
    assert [type(e).__name__ for e in entries] == ["Line", "Rejected"]
    assert "unpacks to more than 10 times its size; reading stopped here." in entries[1].reason
    assert entries[1].fatal


def test_an_absolute_size_is_kept_too(tmp_path):
    path = write(tmp_path / "big.gz", gzip.compress(b" \n" * 1_000_000))
    limits = Limits(ratio=10**9, unpacked_bytes=1 << 20)
    assert [entry.reason for entry in open_lines(path, limits)] == [
        "The file unpacks to more than 0 GB; reading stopped here."
    ]


def test_bad_members_do_not_stop_the_others(tmp_path):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("inner.gz", gzip.compress(b'{"a":1}\n'))
        archive.writestr("picture.png", bytes(range(256)))
        link = zipfile.ZipInfo("link.jsonl")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("good.jsonl", b'{"b":2}\n')
    path = write(tmp_path / "mixed.zip", target.getvalue())
    entries = list(open_lines(path))
    assert [(e.where, e.reason if isinstance(e, Rejected) else e.raw) for e in entries] == [
        ("inner.gz", "This member of the archive is itself compressed; put the plain file in."),
        ("picture.png", "picture.png is a binary file, not JSON; give JSON lines or a JSON list."),
        ("link.jsonl", "This member of the archive is a link; put the file itself into the archive."),
        ("good.jsonl", b'{"b":2}'),
    ]
    assert [e.line if isinstance(e, Rejected) else e.number for e in entries] == [1, 2, 3, 4]


def test_a_damaged_member(tmp_path):
    data = bytearray(zipped(rows__jsonl=b'{"a":1}\n' * 50))
    at = data.index(b"rows.jsonl") + 14
    data[at] ^= 0xFF
    (entry,) = [e for e in open_lines(write(tmp_path / "rows.zip", bytes(data))) if isinstance(e, Rejected)]
    assert entry.reason == "This member of the archive is damaged or packed in an unknown way; reading stopped."
