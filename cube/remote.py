"""Rasters that a server gives: which they are, and which of their failures may pass."""

import contextlib
import http.client
import logging
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator

REMOTE = re.compile(
    r"(?:^|/|\{)(?:https?://|s3://|gs://|az://|vsi(?:curl[/?]|(?:s3|gs|az|adls|swift)/))"
)

PASSING_CODES = (408, 425, 429)
"""HTTP answers below 500 that ask for another try: request timeout, too early, too many requests
(RFC 9110, 15.5.9; RFC 8470, 5.2; RFC 6585, 4)."""

LASTING = re.compile(
    r"certificate|SSL peer|malformed|[Uu]nsupported protocol|[Bb]ad/illegal format"
)
"""What curl says of addresses and certificates that no second try changes (libcurl, libcurl-errors)."""

BUSY = re.compile(
    r"SlowDown|ServiceUnavailable|InternalError|RequestTimeout|reduce your request rate"
    r"|internal error|socket connection to the server was not read",
    re.IGNORECASE,
)
"""Codes and messages of S3 that ask for another try (Amazon S3, API Reference, Error responses)."""

CURL = re.compile(
    r"CURL error|[Cc]ould not (?:resolve|connect)|timed out|[Cc]onnection (?:reset|refused)"
)

ANSWER_SECONDS = 20.0
"""How long a server that broke off is waited for when it is asked why: it is the second time."""

UNCACHED = "CPL_VSIL_CURL_NON_CACHED"


def is_remote(href: str) -> bool:
    """Whether a server gives the raster of a path, address or GDAL name."""
    return REMOTE.search(href) is not None


def may_pass(error: BaseException) -> bool | None:
    """Whether a failure of a remote raster may pass; None where its words tell nothing of that."""
    cause: BaseException | None = error
    while cause is not None:
        text = str(cause)
        if BUSY.search(text):
            return True
        if found := re.search(r"HTTP (?:response|error) code\D{0,5}(\d{3})", text):
            return int(found[1]) >= 500 or int(found[1]) in PASSING_CODES
        if CURL.search(text):
            return LASTING.search(text) is None
        cause = cause.__cause__ or cause.__context__
    return None


@contextlib.contextmanager
def overheard() -> Iterator[list[str]]:
    """What GDAL warns of meanwhile: of requests for a part of a file its errors do not speak."""
    said: list[str] = []
    logger = logging.getLogger("rasterio._env")
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def warned_of_passing(said: list[str]) -> bool:
    """Whether a server's last answer that GDAL warned of is one that may pass; 0 is none at all."""
    codes = [
        int(code) for text in said for code in re.findall(r"HTTP response code on .*: (\d+)", text)
    ]
    return bool(codes) and (codes[-1] == 0 or codes[-1] >= 500 or codes[-1] in PASSING_CODES)


def breaks_off(address: str) -> bool:
    """Whether a web server fails to give the whole of a file now; False of buckets, not asked."""
    if not address.startswith(("http://", "https://")):
        return False
    try:
        with urllib.request.urlopen(address, timeout=ANSWER_SECONDS) as answer:
            while answer.read(1 << 20):
                pass
    except urllib.error.HTTPError as error:
        return error.code >= 500 or error.code in PASSING_CODES
    except (OSError, http.client.HTTPException):
        return True
    return False


def plain_name(href: str) -> str:
    """GDAL name of a remote raster -> the address in it, of whose failures GDAL says more."""
    inner = href
    if href.startswith("vrt://"):
        inner = href.removeprefix("vrt://").partition("?")[0]
    inner = re.sub(r"^/vsicurl/(?=https?://)", "", inner)
    return re.sub(r"^/vsis3/", "s3://", inner)


@contextlib.contextmanager
def uncached() -> Iterator[None]:
    """Ask servers anew: GDAL remembers within a process that a file was not to be had.

    Of the whole process, as GDAL's threads see no other; reading without the cache is only slower.
    """
    before = os.environ.get(UNCACHED)
    os.environ[UNCACHED] = "/vsicurl/:/vsis3/:/vsigs/:/vsiaz/:/vsiadls/:/vsiswift/"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(UNCACHED, None)
        else:
            os.environ[UNCACHED] = before
