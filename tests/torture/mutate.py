"""Damage as it happens, and as an enemy does it: bytes, lines, words and numbers of a file changed at random."""

from __future__ import annotations

import gzip
import random
import struct
import zlib

import zstandard

WORDS: tuple[bytes, ...] = (
    *(b"", b"0", b"-1", b"1e400", b"nan", b"inf", b"-0.0", b"9" * 30, b"9223372036854775808", b"18446744073709551616"),
    *(b"4294967296", b"2147483648", b"-2147483649", b"1e308", b"*", b"^x$", b"^.*$", b"chr", b"\xff\xfe", b"M\xfcller"),
    *(
        b"\x1b[2J",
        b"[red]",
        b"[/]",
        b"$x_{$",
        b'"',
        b"'",
        b"#",
        b"##",
        b"\t",
        b",",
        b" ",
        b"\r",
        b"\n",
        b"\0",
        b"NA",
        b".",
    ),
    *(
        b"../../x",
        b"A" * 5000,
        b"&a [*a]",
        b"{",
        b"[" * 200,
        b"\xe2\x80\xae",
        b"%s",
        b"{0}",
        b"@",
        b":",
        b"chrX",
        b"1:1:A:G",
    ),
)
COUNTS = (0, 1, 127, 128, 255, 256, 32767, 32768, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The content with one to some changes; of compressed content, half of the time what is inside."""
    if content.startswith(b"\x1f\x8b") and rng.random() < 0.6:
        inside = _changed(gzip.decompress(content), rng)
        return bgzf(inside) if content[3] & 4 else gzip.compress(inside, 1)
    if content.startswith(b"\x28\xb5\x2f\xfd") and rng.random() < 0.6:
        return zstandard.compress(_changed(zstandard.decompress(content), rng))
    return _changed(content, rng)


def _changed(content: bytes, rng: random.Random) -> bytes:
    text = b"\0" not in content[:4096] and b"\n" in content[:65536]
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        change = rng.choice((*_BYTES, *(_LINES * 2 if text else ())))
        content = change(content, rng) if content else bytes([rng.randrange(256)])
    return content


def _flip(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]


def _number(content: bytes, rng: random.Random) -> bytes:
    width = rng.choice((1, 2, 4, 8))
    place = rng.randrange(len(content))
    number = rng.choice(COUNTS) & ((1 << 8 * width) - 1)
    return content[:place] + number.to_bytes(width, rng.choice(("little", "big"))) + content[place + width :]


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def _without(content: bytes, rng: random.Random) -> bytes:
    first = rng.randrange(len(content))
    return content[:first] + content[first + rng.choice((1, 4, 64, 1000)) :]


def _twice(content: bytes, rng: random.Random) -> bytes:
    first = rng.randrange(len(content))
    last = first + rng.choice((1, 8, 100, 5000))
    return content[:last] + content[first:last] + content[last:]


def _insert(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content))
    return content[:place] + rng.choice(WORDS) + content[place:]


def _noise(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content))
    return content[:place] + rng.randbytes(rng.choice((1, 16, 200))) + content[place + 16 :]


def _word(content: bytes, rng: random.Random) -> bytes:
    """One field of one line becomes another word, or the field of another line."""
    lines = content.split(b"\n")
    row = rng.randrange(min(len(lines), rng.choice((2, 6, 10**6))))
    separator = rng.choice((b"\t", b" ", b",", b";", b":", b"="))
    fields = lines[row].split(separator)
    other = rng.choice(lines).split(separator)
    fields[rng.randrange(len(fields))] = rng.choice((rng.choice(WORDS), rng.choice(other), rng.choice(fields)))
    lines[row] = separator.join(fields)
    return b"\n".join(lines)


def _lines(content: bytes, rng: random.Random) -> bytes:
    """A line goes, comes twice, or changes its place."""
    lines = content.split(b"\n")
    row = rng.randrange(len(lines))
    line = lines.pop(row)
    for _ in range(rng.choice((0, 1, 2))):
        lines.insert(rng.randrange(len(lines) + 1), line)
    return b"\n".join(lines)


def _separators(content: bytes, rng: random.Random) -> bytes:
    old, new = rng.choice((b"\t", b" ", b",", b"\n")), rng.choice((b"\t", b" ", b",", b"\r\n", b"\r", b""))
    return content.replace(old, new, rng.choice((1, 5, -1)))


_BYTES = (_flip, _flip, _number, _number, _cut, _without, _twice, _insert, _noise)
_LINES = (_word, _word, _word, _lines, _separators)


def bgzf(content: bytes) -> bytes:
    """The content as BGZF of stored (uncompressed) blocks."""
    blocks = [content[start : start + _BLOCK] for start in range(0, len(content), _BLOCK)]
    return b"".join(_block(block) for block in [*blocks, b""])


def _block(block: bytes) -> bytes:
    stored = b"\x01" + struct.pack("<HH", len(block), 0xFFFF - len(block)) + block
    head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0"
    whole = head + struct.pack("<H", 17 + len(stored) + 8) + stored + struct.pack("<II", zlib.crc32(block), len(block))
    return whole if block else _END


_BLOCK = 65_000
_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
