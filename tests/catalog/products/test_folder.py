"""Folders and zips: what is read, and what is refused with one line."""

import re
import stat
import zipfile

import pytest

from catalog.errors import ProductError
from catalog.products import open_product, recognises
from catalog.products.folder import Directory, Zip, open_folder, zip_member

BOMB = """<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "xxxxxxxxxx"><!ENTITY c "&b;&b;&b;">]>
<a>&c;</a>"""


def refusal(path) -> str:
    with pytest.raises(ProductError) as caught:
        open_product(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def add(archive, name, content=b"x", **info):
    entry = zipfile.ZipInfo(name)
    for key, value in info.items():
        setattr(entry, key, value)
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(entry, content, compress_type=info.get("compress_type"))


def test_members_sizes_and_text_of_both(safe, as_zip):
    folder = safe()
    plain = Directory(folder)
    text = plain.read("MTD_MSIL2A.xml")
    packed = open_folder(as_zip(folder))
    assert isinstance(packed, Zip)
    assert packed.name == plain.name == folder.name
    assert packed.members == plain.members
    assert packed.read("MTD_MSIL2A.xml") == text
    assert packed.size("MTD_MSIL2A.xml") == len(text)
    assert plain.checksum("MTD_MSIL2A.xml") is None
    raster = next(each for each in packed.members if each.endswith("B04_10m.jp2"))
    assert packed.checksum(raster) == f"{zipfile.crc32(b'raster'):08x}"


def test_zip_without_a_folder_inside(safe, tmp_path):
    folder = safe()
    archive = tmp_path / "loose.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in folder.rglob("*.*"):
            file.write(path, path.relative_to(folder).as_posix())
    product = open_product(archive)
    assert product.id == folder.name.removesuffix(".SAFE")
    assert product.asset("metadata").href == f"/vsizip/{archive}/MTD_MSIL2A.xml"


def test_zip_by_another_name_is_written_in_braces(safe, as_zip, tmp_path):
    archive = as_zip(safe(), tmp_path / "product.bin")
    assert recognises(archive)
    assert open_product(archive).asset("red").href.startswith(f"/vsizip/{{{archive}}}/S2A_")


def test_nothing_there(tmp_path):
    assert refusal(tmp_path / "absent").endswith("absent: no such file or folder")
    missing = tmp_path / "S2A_MSIL2A_20240120T105341_N0510_R051_T31TCJ_20240120T125244.SAFE"
    assert refusal(missing) == f"{missing}: no such file or folder"


def test_not_a_product(tmp_path):
    (tmp_path / "readme.txt").write_text("hello")
    assert "not a Sentinel-2 product: neither MTD_MSIL1C.xml" in refusal(tmp_path)
    assert "neither a folder nor a zip" in refusal(tmp_path / "readme.txt")
    assert not recognises(tmp_path / "readme.txt")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as file:
        file.writestr("readme.txt", "hello")
    assert "not a Sentinel-2 product" in refusal(tmp_path / "other.zip")


def test_folder_called_safe_without_metadata(safe):
    folder = safe()
    (folder / "MTD_MSIL2A.xml").unlink()
    assert "no MTD_MSIL1C.xml or MTD_MSIL2A.xml" in refusal(folder)


def test_missing_granule_metadata(safe):
    folder = safe()
    next(folder.rglob("MTD_TL.xml")).unlink()
    assert re.search(r"missing GRANULE/L2A_T31TCJ_A044807_\w+/MTD_TL.xml", refusal(folder))


@pytest.mark.parametrize("level", ["L1C", "L2A"])
def test_missing_band(safe, level):
    folder = safe(level=level)
    next(path for path in folder.rglob("*") if re.search(r"B08(_10m)?\.jp2", path.name)).unlink()
    assert "missing band B08 at 10 m: named by MTD_MSI" in refusal(folder)


def test_missing_band_of_60_m_is_a_warning(safe):
    folder = safe()
    next(folder.rglob("*_B09_60m.jp2")).unlink()
    assert open_product(folder).warnings == (f"{folder}: missing band B09 at 60 m",)


@pytest.mark.parametrize("name", ["MTD_MSIL2A.xml", "MTD_TL.xml"])
@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        (b"<a><b></a>", "broken XML: mismatched tag"),
        (b"\x00\x01\x02", "broken XML"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "broken XML"),
        (BOMB.encode(), "declares a document type or entities"),
    ],
    ids=["empty", "blank", "unclosed", "binary", "encoding", "entities"],
)
def test_broken_xml_is_named(safe, name, content, cause):
    folder = safe()
    path = next(folder.rglob(name))
    path.write_bytes(content)
    message = refusal(folder)
    assert message.startswith(f"{path}: ")
    assert cause in message


def test_broken_xml_inside_a_zip_is_named(safe, as_zip):
    folder = safe()
    next(folder.rglob("MTD_TL.xml")).write_bytes(b"<a>")
    archive = as_zip(folder)
    assert refusal(archive).startswith(f"{archive}: {folder.name}/GRANULE/")


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.99])
def test_truncated_zip(safe, as_zip, kept):
    archive = as_zip(safe())
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * kept)])
    assert recognises(archive)
    assert refusal(archive).startswith(f"{archive}: damaged or truncated zip")


def test_damaged_member(safe, as_zip):
    folder = safe()
    archive = as_zip(folder)
    with zipfile.ZipFile(archive) as file:
        info = file.getinfo(f"{folder.name}/MTD_MSIL2A.xml")
        start = info.header_offset + 30 + len(info.filename)
    content = bytearray(archive.read_bytes())
    content[start + 500 : start + 520] = bytes(20)
    archive.write_bytes(content)
    assert "MTD_MSIL2A.xml: damaged or truncated zip" in refusal(archive)


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("../outside.txt", "leaves the archive by '..'"),
        ("X.SAFE/../../outside.txt", "leaves the archive by '..'"),
        ("..\\outside.txt", "leaves the archive by '..'"),
        ("/etc/passwd", "has an absolute path"),
        ("C:/windows", "has an absolute path"),
        ("\\\\server\\share", "has an absolute path"),
    ],
)
def test_unsafe_member(safe, as_zip, name, cause):
    archive = as_zip(safe())
    add(archive, name)
    message = refusal(archive)
    assert message.startswith(f"{archive}: refused: member ")
    assert cause in message


def test_link_in_a_zip(safe, as_zip):
    archive = as_zip(safe())
    add(archive, "link", b"/etc/passwd", external_attr=(stat.S_IFLNK | 0o777) << 16)
    assert "is a symbolic link" in refusal(archive)


def test_encrypted_member(safe, as_zip):
    folder = safe()
    archive = as_zip(folder)
    content = bytearray(archive.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    archive.write_bytes(content)
    assert "is encrypted" in refusal(archive)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_member_twice(safe, as_zip):
    folder = safe()
    archive = as_zip(folder)
    add(archive, f"{folder.name}/MTD_MSIL2A.xml")
    assert "two members are called" in refusal(archive)


def test_two_products_in_a_zip(safe, as_zip):
    folder = safe()
    archive = as_zip(folder)
    add(archive, "other.SAFE/MTD_MSIL2A.xml")
    assert "holds 2 products" in refusal(archive)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression(safe, tmp_path, method):
    folder = safe()
    archive = tmp_path / "other.zip"
    with zipfile.ZipFile(archive, "w", method) as file:
        for path in folder.rglob("*.*"):
            file.write(path, f"{folder.name}/{path.relative_to(folder).as_posix()}")
    assert "refused: compressed by method" in refusal(archive)


def bomb(safe, as_zip, size):
    folder = safe()
    path = folder / "MTD_MSIL2A.xml"
    path.write_bytes(path.read_bytes() + b" " * size)
    return as_zip(folder)


def test_zip_bomb(safe, as_zip):
    assert "MTD_MSIL2A.xml: refused as a zip bomb: " in refusal(bomb(safe, as_zip, 20_000_000))


def test_zip_bomb_that_declares_less(safe, as_zip):
    archive = bomb(safe, as_zip, 20_000_000)
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as file:
        size = next(i.file_size for i in file.infolist() if i.filename.endswith("MSIL2A.xml"))
    declared = size.to_bytes(4, "little")
    assert content.count(declared) == 2
    archive.write_bytes(content.replace(declared, (5000).to_bytes(4, "little")))
    assert "damaged or truncated zip: Bad CRC-32" in refusal(archive)


def test_text_without_end(safe, monkeypatch):
    monkeypatch.setattr("catalog.products.folder.TEXT_LIMIT", 1000)
    assert "MTD_MSIL2A.xml: refused: more than 1000 bytes of text" in refusal(safe())


def test_too_many_files(safe, as_zip, monkeypatch):
    folder = safe()
    monkeypatch.setattr("catalog.products.folder.MEMBER_LIMIT", 10)
    assert "more than 10 files" in refusal(folder)
    assert "more than 10 members" in refusal(as_zip(folder))


def test_link_that_leaves_the_folder(safe, tmp_path):
    folder = safe()
    secret = tmp_path / "secret"
    secret.write_text("x")
    (folder / "link").symlink_to(secret)
    assert refusal(folder) == f"{folder / 'link'}: refused: a link that leaves the product's folder"
    (folder / "link").unlink()
    (folder / "link").symlink_to(folder / "MTD_MSIL2A.xml")
    assert open_product(folder).warnings == ()


def test_product_reached_by_a_link(safe, tmp_path):
    folder = safe()
    link = tmp_path / "here"
    link.symlink_to(folder)
    assert open_product(link).asset("metadata").href == f"{link}/MTD_MSIL2A.xml"


def test_many_granules(safe):
    folder = safe()
    path = folder / "MTD_MSIL2A.xml"
    more = "<IMAGE_FILE>GRANULE/L2A_T31TDJ_A044807_20240120T105433/IMG_DATA/x</IMAGE_FILE>"
    path.write_text(path.read_text().replace("</Granule>", f"{more}</Granule>", 1))
    assert "holds 2 granules; only products of one tile are read" in refusal(folder)


@pytest.mark.parametrize(
    ("href", "expected"),
    [
        ("/vsizip//data/p.zip/S2A.SAFE/B02.jp2", ("/data/p.zip", "S2A.SAFE/B02.jp2")),
        ("/vsizip/data/p.zip/B02.jp2", ("data/p.zip", "B02.jp2")),
        ("/vsizip//data/P.ZIP/a/B02.jp2", ("/data/P.ZIP", "a/B02.jp2")),
        ("/vsizip/{/data/p.SAFE.archive}/a/B02.jp2", ("/data/p.SAFE.archive", "a/B02.jp2")),
        ("/data/p.zip.d/B02.jp2", None),
        ("/data/B02.jp2", None),
        ("https://host/p.zip/B02.jp2", None),
    ],
)
def test_zip_member(href, expected):
    assert zip_member(href) == expected
