#!/usr/bin/env python3
"""What closed CURVE connections carried, read with their key log: which frames are one message, and which belong to one request.

usage: tests/peers/closed.py CAPTURE KEYLOG > TRUTH.json

An independent reader: `wire.py` finds the frames, libsodium opens the boxes (RFC 26), the flags inside tell which is the last part of
a message, and the token that each request carries and its reply repeats tells what belongs together. A hop is named by the
number of the outer frame of its last part in its direction, which is the `ordinal` that it has without the key; in clear, by that of the message.
"""
import ctypes
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire  # noqa: E402

SODIUM = ctypes.CDLL("libsodium.so.23")
TOKEN = re.compile(rb"token-\d+-\d+;")


def opened(box, nonce, key):
    plain = ctypes.create_string_buffer(len(box) - 16)
    if SODIUM.crypto_box_open_easy_afternm(plain, box, ctypes.c_ulonglong(len(box)), nonce, key):
        raise SystemExit("a box does not open with its key")
    return plain.raw


def keys_of(path):
    with open(path, encoding="ascii") as log:
        lines = [line.split() for line in log if line.startswith("CURVE_SESSION ")]
    return {bytes.fromhex(line[1]): bytes.fromhex(line[-1]) for line in lines}


def messages_of(connection, half, keys):
    """(number of the last frame, parts) of each message of a direction"""
    if connection.mechanism != "CURVE":
        yield from ((m.ordinal, [f.body for f in m.frames], m.frames[-1]) for m in half.messages)
        return
    hello = connection.client.frames[0].body
    key = keys[hello[80:112]]
    side = b"C" if half is connection.client else b"S"
    parts = []
    for number, message in enumerate(half.messages):
        body = message.frames[0].body
        plain = opened(body[16:], b"CurveZMQMESSAGE" + side + body[8:16], key)
        if plain[0] & 2:
            continue
        parts.append(plain[1:])
        if not plain[0] & 1:
            yield number, parts, message.frames[-1]
            parts = []


def main():
    capture, keylog = sys.argv[1:]
    keys = keys_of(keylog)
    connections, _ = wire.read_connections(capture)
    requests = {}
    for connection in connections:
        for half, other in connection.halves():
            for ordinal, parts, frame in messages_of(connection, half, keys):
                found = TOKEN.search(parts[-1])
                if found:
                    piece = half.piece_at(frame.end - 1)
                    hop = {"src": half.endpoint, "dst": other.endpoint, "ordinal": ordinal, "packet": piece.pkt + 1,
                           "parts": [len(part) for part in parts]}
                    requests.setdefault(found[0].decode(), []).append((parts[-1].startswith(b"reply"), piece.pkt, piece.offset, hop))
    print(json.dumps({"requests": [[hop for *_, hop in sorted(hops, key=lambda hop: hop[:3])] for hops in requests.values()]}, indent=1))


if __name__ == "__main__":
    main()
