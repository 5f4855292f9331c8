"""Bodies of requests, as Content-Encoding says they are packed."""

from __future__ import annotations

import zlib

from zoo.serving.contract import Refusal

WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""Encoding -> what zlib calls it."""


def unpacked(body: bytes, encoding: str, most: int) -> bytes:
    """The body itself; a Refusal where it is packed otherwise, not whole, or larger than `most` bytes."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in WINDOWS:
        raise Refusal(400, f"Content-Encoding is not one of {', '.join(WINDOWS)}")
    window = WINDOWS[encoding]
    # Some senders of deflate leave its two bytes of zlib's header out.
    if encoding == "deflate" and body[:1] and body[0] & 15 != 8:
        window = -zlib.MAX_WBITS
    unpacker = zlib.decompressobj(window)
    try:
        found = unpacker.decompress(body, most + 1)
    except zlib.error:
        raise Refusal(400, "the body is not compressed as Content-Encoding says") from None
    if len(found) > most:
        raise Refusal(413, f"the body is larger than {most} bytes")
    if not unpacker.eof:
        raise Refusal(400, "the body ended too early")
    return found
