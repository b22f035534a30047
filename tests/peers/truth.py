#!/usr/bin/env python3
"""Write a capture's truth: what the applications logged joined with what an independent reader finds on the wire.

usage: truth.py CAPTURE [--log LOG.json] [--out TRUTH.json] [--blind BLIND.pcap]

Format: `connections[]` and `requests[]` with `request_hops[]` and `reply_hops[]`, each hop with `conn, src, dst, ordinal, ts, pkt, frames_hex`
(`pkt` 0-based: the packet with the message's last byte). `checks` must all be true. `--blind` writes the capture once more with
every frame body that holds a token overwritten by `x` of the same length (TCP checksums are left as they were).
"""
import argparse
import bisect
import collections
import hashlib
import json
import os
import re
import sys
from typing import Dict, List

import wire

TOKEN = re.compile(rb"([0-9a-f]{16})([?!])")


def side(half: wire.Half) -> dict:
    identity = (half.metadata or {}).get("Identity")
    made = {
        "version": f"{half.greeting[10]}.{half.greeting[11]}" if half.greeting else "ZWS2.0" if half.head else None,
        "socket_type": (half.metadata or {}).get("Socket-Type", b"").decode() or None,
        "identity": None if identity is None else identity.hex(),
        "bytes": len(half.data),
        "messages": len(half.messages),
        "frames": sum(f.inside for f in half.frames),
        "payload_bytes": sum(len(f.body) for f in half.frames if f.inside),
        "commands": half.commands,
        "fully_parsed": half.parsed and not half.hole,
    }
    if half.greeting:
        made["as_server"] = half.greeting[32]
    if half.metadata is not None:
        made["metadata"] = {name: value.hex() for name, value in half.metadata.items()}
    if half.resent:
        made["retransmitted_segments"] = half.resent
    return made


def connection_truth(connection: wire.Connection) -> dict:
    mechanism = connection.mechanism or None
    made = {
        "id": connection.id,
        "client": connection.client.endpoint,
        "server": connection.server.endpoint,
        "opened_ts": connection.opened,
        "syn": connection.syn,
        "established": connection.established,
        "zmtp": "ws" if connection.websocket else "3.x" if connection.zmtp else None,
        "mechanism": mechanism,
        "closed": [connection.client.closed, connection.server.closed],
        "client_side": side(connection.client),
        "server_side": side(connection.server),
    }
    if connection.websocket:
        client, server = connection.client, connection.server
        made["ws"] = {"offered": wire.subprotocol(client.head), "chosen": wire.subprotocol(server.head),
                      "opcodes_c2s": client.opcodes, "opcodes_s2c": server.opcodes}
    if mechanism == "CURVE":
        made["curve_decrypted"] = False
    return made


def frame_text(body: bytes) -> str:
    return body.hex() if len(body) <= 512 else f"sha256:{hashlib.sha256(body).hexdigest()}:{len(body)}"


def hop(connection, sender, receiver, message) -> dict:
    last = sender.piece_at(message.end - 1)
    return {
        "conn": connection.id,
        "src": sender.endpoint,
        "dst": receiver.endpoint,
        "ordinal": message.ordinal,
        "ts": last.ts,
        "pkt": last.pkt,
        "frames_hex": [frame_text(f.body) for f in message.frames[:64]],
    }


def hops_by_token(connections) -> Dict[str, Dict[str, List[dict]]]:
    """token -> its hops out (`?`) and back (`!`), in order of the capture"""
    found = collections.defaultdict(lambda: {"?": [], "!": []})
    for connection in connections:
        for sender, receiver in connection.halves():
            for message in sender.messages:
                match = next(filter(None, (TOKEN.match(f.body) for f in message.frames)), None)
                if match:
                    found[match[1].decode()][match[2].decode()].append(hop(connection, sender, receiver, message))
    for both in found.values():
        for hops in both.values():
            hops.sort(key=lambda h: (h["pkt"], len(h["frames_hex"])))
    return found


def request_truth(asked: dict, hops: Dict[str, List[dict]]) -> dict:
    out, back = hops["?"], hops["!"]
    complete = bool(out and back and out[0]["src"] == back[-1]["dst"] and out[0]["dst"] == back[-1]["src"])
    return {
        "token": asked["token"],
        "client": asked["client"],
        "worker": asked["worker"],
        "complete": complete,
        "app": {"sent_ts": asked["sent_ts"], "recv_ts": asked["recv_ts"]},
        "request_hops": out,
        "reply_hops": back,
    }


def nested(hops: List[dict], growing: bool) -> bool:
    """each ROUTER adds one frame on top on the way out, and takes one off on the way back"""
    if not growing:
        hops = hops[::-1]
    return all(b["frames_hex"][1:] == a["frames_hex"] for a, b in zip(hops, hops[1:]))


def checks(truth: dict, log: dict, dropped) -> dict:
    requests = truth["requests"]
    own = collections.defaultdict(set)
    for request in requests:
        if request["request_hops"]:
            own[request["request_hops"][0]["src"]].add(request["client"])
    result = {
        "no_kernel_drops": dropped == 0,
        "all_streams_fully_parsed": all(c[s]["fully_parsed"] for c in truth["connections"] if c["zmtp"] for s in ("client_side", "server_side")),
        "no_gaps": not truth.pop("_holes"),
    }
    if requests:
        result.update(
            all_app_requests_on_wire=all(r["request_hops"] for r in requests),
            app_received_equals_complete=sum(r["complete"] for r in requests) == sum(c["received"] for c in log["per_client"].values()),
            tokens_distinct=len({r["token"] for r in requests}) == len(requests),
            worker_known=all(r["worker"] for r in requests if r["complete"]),
            client_connections_disjoint=all(len(clients) == 1 for clients in own.values()),
            envelopes_nested=all(nested(r["request_hops"], True) and nested(r["reply_hops"], False) for r in requests),
            reply_retraces_request=all(
                [(h["src"], h["dst"]) for h in r["request_hops"]] == [(h["dst"], h["src"]) for h in r["reply_hops"]][::-1] for r in requests if r["complete"]),
            hops_ordered_in_time=all(
                all(a["pkt"] < b["pkt"] for a, b in zip(h, h[1:])) for h in (r["request_hops"] + r["reply_hops"] for r in requests)),
        )
    return result


def signature(request: dict) -> str:
    """server ports along the way: which of a hop's ports is the server's is told by the first hop's direction"""
    def ports(hops):
        return ">".join(min((h["src"], h["dst"]), key=lambda e: int(e.rsplit(":", 1)[1])).rsplit(":", 1)[1] for h in hops)

    return ports(request["request_hops"]) + " | " + ports(request["reply_hops"])


def truth_of(capture: str, log: dict) -> dict:
    """The truth of a capture; `log` is what the applications said (`asked`, `per_client`, ports, anything else)."""
    connections, packets = wire.read_connections(capture)
    hops = hops_by_token(connections)
    asked = log.get("asked", [])
    requests = [request_truth(a, hops[a["token"]]) for a in sorted(asked, key=lambda a: a["sent_ts"])]
    facts = {k: v for k, v in log.items() if k not in ("asked", "tcpdump", "name", "family")}
    truth = {
        "name": log.get("name") or os.path.basename(capture).rsplit(".", 1)[0],
        **({"family": log["family"]} if log.get("family") else {}),
        "capture": os.path.basename(capture),
        **facts,
        "tcpdump": log.get("tcpdump", {}),
        "packets": len(packets),
        "bytes": os.path.getsize(capture),
        "counts": {
            "connections": len(connections),
            "zmtp_connections": sum(c.zmtp for c in connections),
            "messages": sum(len(h.messages) for c in connections for h in (c.client, c.server)),
            "requests_sent_app": len(asked),
            "replies_received_app": sum(a["recv_ts"] is not None for a in asked),
            "requests_on_wire": sum(bool(r["request_hops"]) for r in requests),
            "replies_on_wire": sum(bool(r["reply_hops"]) for r in requests),
            "complete": sum(r["complete"] for r in requests),
        },
        "path_signatures": dict(collections.Counter(map(signature, requests))),
        "connections": [connection_truth(c) for c in connections],
        "requests": requests,
        "_holes": any(h.hole for c in connections for h in (c.client, c.server)),
    }
    truth["checks"] = checks(truth, log, truth["tcpdump"].get("dropped_by_kernel", 0))
    return truth


def write_truth(truth: dict, path: str):
    """JSON with one list element a line"""
    last = [(k, truth[k]) for k in truth if k not in ("connections", "requests")] + [(k, truth[k]) for k in ("connections", "requests")]
    with open(path, "w") as out:
        lines = []
        for name, value in last:
            if isinstance(value, list) and value:
                items = ",\n".join(json.dumps(v) for v in value)
                lines.append(f"{json.dumps(name)}: [\n{items}\n]")
            else:
                lines.append(f"{json.dumps(name)}: {json.dumps(value)}")
        out.write("{\n" + ",\n".join(lines) + "\n}\n")


def write_blind(capture: str, path: str) -> int:
    """The capture with every frame body that holds a token overwritten; how many bodies."""
    connections, _ = wire.read_connections(capture)
    raw = bytearray(open(capture, "rb").read())
    count = 0
    for connection in connections:
        for half in (connection.client, connection.server):
            spans = [(f.body_start, f.body_start + len(f.body)) for f in half.frames if TOKEN.search(f.body)]
            count += len(spans)
            for seq, _, _, at, payload in half.segments:  # copies of retransmitted bytes too
                offset = (seq - half.isn) & 0xFFFFFFFF
                if offset >= 0x80000000:
                    continue
                for start, end in overlapping(spans, offset, offset + len(payload)):
                    raw[at + start - offset : at + end - offset] = b"x" * (end - start)
    if TOKEN.search(raw):
        raise RuntimeError(f"{capture}: a token is left in the blind variant")
    open(path, "wb").write(raw)
    return count


def overlapping(spans, low, high):
    """the parts of sorted spans within [low, high)"""
    first = bisect.bisect_left(spans, (low, 0))
    for start, end in spans[max(0, first - 1):]:
        if start >= high:
            return
        if end > low:
            yield max(start, low), min(end, high)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture")
    parser.add_argument("--log", help="the applications' log, as scenarios.py writes it")
    parser.add_argument("--out", help="default: standard output")
    parser.add_argument("--blind")
    args = parser.parse_args()
    truth = truth_of(args.capture, json.load(open(args.log)) if args.log else {})
    if args.blind:
        write_blind(args.capture, args.blind)
        truth["blind_capture"] = os.path.basename(args.blind)
    write_truth(truth, args.out or "/dev/stdout")
    failed = [name for name, right in truth["checks"].items() if not right]
    if failed:
        sys.exit(f"checks failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
