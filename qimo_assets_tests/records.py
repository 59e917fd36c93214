"""Records of the topic as producers write them, made without the pipeline's code."""

from __future__ import annotations


def varint(number: int) -> bytes:
    """Return Avro's long."""
    number, coded = 2 * number, bytearray()
    while number > 127:
        coded.append(number & 127 | 128)
        number >>= 7
    return bytes([*coded, number])


def event(body: bytes, **headers: str) -> bytes:
    """Return Flume's AvroFlumeEvent as its Kafka channel writes it."""
    parts = [varint(len(part)) + part for item in headers.items() for part in map(str.encode, item)]
    return (
        varint(len(headers))
        + b"".join(parts)
        + (b"\0" if headers else b"")
        + varint(len(body))
        + body
    )
