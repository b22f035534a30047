#!/usr/bin/env python3
"""Compare zmtpscope's frames with those of tshark's own ZMTP dissector, one by one.

usage: tshark.py [--tshark PATH] [--zmtpscope PATH] [-v] CAPTURE…

For captures of ZMTP 3.x over TCP with NULL or PLAIN: tshark knows nothing older, and misreads CURVE. In each direction
of each connection both must tell the same frames in the same order: greeting, command or message, flags, length, name of the command, and the
packet in which the frame ends. Where they part, the octets at that place are looked at for one of tshark's known faults; if more than
packet or name differs, what follows in that direction is not compared, since tshark does not recover. Exit status 0: no difference is unexplained; 1: some are; 2: tshark cannot be used.

tshark 4.4 is the first that knows ZMTP. It recognises no port, so it is told those that zmtpscope found.
"""
import argparse
import bisect
import collections
import ipaddress
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from typing import Dict, List, NamedTuple, NoReturn, Optional, Tuple

OLDEST = (4, 4)
KNOWN_FLAGS = {0x00, 0x01, 0x02, 0x03, 0x04, 0x06}
GREETING = 64

Way = Tuple[str, str]  # sender and receiver, each ip:port


class Frame(NamedTuple):
    """A frame as either program tells it."""

    packet: int
    kind: str  # greeting, command or message
    more: bool
    long: bool
    length: int
    name: Optional[str]  # of a command


class Stream:
    """One direction as tshark tells it, and the segments as they came, to explain differences with."""

    def __init__(self) -> None:
        self.frames: List[Frame] = []
        self.segments: List[Tuple[int, bytes, int]] = []  # relative sequence number, octets, packet
        self.malformed: List[int] = []  # packets

    def octets(self) -> Tuple[bytes, List[int], bool]:
        """The octets of one connection, where each segment that brought new ones begins, and whether there is a hole."""
        data, starts, hole = bytearray(), [], False
        for sequence, octets, _ in sorted(self.segments, key=lambda segment: segment[0]):
            offset = sequence - 1
            hole |= offset > len(data)
            if offset + len(octets) > len(data) and offset <= len(data):
                starts.append(len(data))
                data += octets[len(data) - offset:]
        return bytes(data), starts, hole

    def packets(self, end: int) -> Tuple[int, int]:
        """The packet that first brought the octet before `end`, and that after which all octets before it were there."""
        last, have, complete = 0, set(), 0
        for sequence, octets, packet in self.segments:
            new = set(range(sequence - 1, min(sequence - 1 + len(octets), end))) - have
            have |= new
            last = packet if end - 1 in new else last
            complete = packet if new else complete
        return last, complete


def unusable(why: str) -> NoReturn:
    """There is nothing to compare with: never to be taken for success."""
    print(f"tshark.py: {why}", file=sys.stderr)
    sys.exit(2)


def version_of(tshark: str) -> Tuple[int, ...]:
    """The version of this tshark, or a loud end."""
    try:
        told = subprocess.run([tshark, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        unusable(f"{tshark} cannot be run: {error}")
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", told)
    if not found:
        unusable(f"{tshark} does not tell its version")
    version = tuple(map(int, found.groups()))
    if version[:2] < OLDEST:
        unusable(f"{tshark} is {'.'.join(map(str, version))}: ZMTP is known since 4.4")
    return version


def endpoint(ip: str, port: str) -> str:
    """`ip:port` in one spelling."""
    address = ipaddress.ip_address(ip)
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def rows(zmtpscope: str, view: str, capture: str) -> List[dict]:
    """The rows of a view."""
    told = subprocess.run([zmtpscope, view, "--format", "jsonl", capture], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in told.stdout.splitlines()]


def ours(zmtpscope: str, capture: str) -> Tuple[Dict[Way, List[Tuple[int, Frame]]], List[dict], collections.Counter]:
    """zmtpscope's frames with their offsets, the connections to compare, and why others are left out."""
    kept, left = {}, collections.Counter()
    for row in rows(zmtpscope, "connections", capture):
        why = None
        if row["transport"] != "tcp":
            why = f"over {row['transport']}"
        elif not (row["version"] or "").startswith("3."):
            why = f"ZMTP {row['version']}"
        elif row["mechanism"] not in ("NULL", "PLAIN"):
            why = f"mechanism {row['mechanism']}"
        elif row["midstream"]:
            why = "begins before the capture"
        elif any(row["lost_bytes"].values()):
            why = "octets are missing"
        if why:
            left[why] += 1
        else:
            kept[row["conn"]] = row
    frames: Dict[Way, List[Tuple[int, Frame]]] = collections.defaultdict(list)
    for row in rows(zmtpscope, "frames", capture):
        if row["conn"] in kept:
            connection = kept[row["conn"]]
            way = (connection["client"], connection["server"])
            way = way if row["dir"] == "c2s" else way[::-1]
            kind = "message" if row["kind"] == "identity" else row["kind"]
            told = Frame(row["packet"], kind, row["more"], row["long"], row["length"], row["name"])
            frames[(row["conn"], *way)].append((row["offset"], told))
    return frames, list(kept.values()), left


def theirs(tshark: str, capture: str, ports: List[int]) -> Dict[Tuple[Way, int], Stream]:
    """tshark's frames, by direction and tshark's number of the TCP connection."""
    # tshark numbers what a pcapng file holds beside packets, too; of these there is no link type.
    others = subprocess.run([tshark, "-r", capture, "-Y", "!frame.encap_type", "-T", "fields", "-e", "frame.number"],
                            capture_output=True, text=True).stdout.split()
    no_packets = sorted(map(int, others))
    command = [tshark, "-r", capture, "-Y", "tcp.len > 0", "-T", "pdml", "-j", "ip ipv6 tcp zmtp",
               "-o", "tcp.reassemble_out_of_order:TRUE"]
    for port in ports:
        command += ["-d", f"tcp.port=={port},zmtp"]
    streams: Dict[Tuple[Way, int], Stream] = collections.defaultdict(Stream)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        for _, element in ElementTree.iterparse(running.stdout):
            if element.tag == "packet":
                packet(element, streams, no_packets)
                element.clear()
        errors = running.stderr.read().decode()
    if running.returncode and not streams:
        unusable(f"tshark cannot read {capture}: {errors.strip()}")
    if running.returncode:
        print(f"{capture}: tshark: {errors.strip().splitlines()[-1]}")
    return streams


def packet(element: ElementTree.Element, streams: Dict[Tuple[Way, int], Stream], no_packets: List[int]) -> None:
    """Adds what tshark says of one packet. Its number is the one among packets: `no_packets` before it do not count."""
    number, source, destination, stream = 0, "", "", None
    for proto in element.iterfind("proto"):
        said = {field.get("name"): field for field in proto.iter("field")}
        show = lambda name: said[name].get("show")
        name = proto.get("name")
        if name == "geninfo":
            number = int(show("num"))
            number -= bisect.bisect_left(no_packets, number)
        elif name in ("ip", "ipv6") and f"{name}.src" in said:
            source, destination = show(f"{name}.src"), show(f"{name}.dst")
        elif name == "tcp" and "tcp.stream" in said:
            way = (endpoint(source, show("tcp.srcport")), endpoint(destination, show("tcp.dstport")))
            stream = streams[(way, int(show("tcp.stream")))]
            if "tcp.payload" in said:
                payload = bytes.fromhex(said["tcp.payload"].get("value"))
                stream.segments.append((int(show("tcp.seq")), payload, number))
        elif name == "zmtp" and stream is not None and "zmtp.flags" in said:
            flags = int(show("zmtp.flags"), 16)
            if "zmtp.signature" in said:
                stream.frames.append(Frame(number, "greeting", False, False, GREETING, None))
                continue
            kind = "command" if flags & 4 else "message"
            called = show("zmtp.command-name") if "zmtp.command-name" in said else None
            length = int(show("zmtp.length")) if "zmtp.length" in said else -1
            stream.frames.append(Frame(number, kind, bool(flags & 1), bool(flags & 2), length, called))
        elif name == "_ws.malformed" and stream is not None:
            stream.malformed.append(number)


def explain(our: Optional[Tuple[int, Frame]], their: Optional[Frame], stream: Stream) -> Optional[str]:
    """Which known fault of tshark the octets at the first difference show."""
    data, starts, hole = stream.octets()
    if hole:
        return "octets missing: tshark waits for them"
    if our is None:
        return None
    offset, frame = our
    if not stream.segments:
        return "tshark finds no TCP in these packets"
    if offset == 0 and frame.kind == "greeting" and their is None:
        return "greeting shorter than 64 octets: not told" if len(data) < GREETING else None
    header = 0 if frame.kind == "greeting" else 9 if frame.long else 2
    if their is not None and frame._replace(packet=0) == their._replace(packet=0):
        # Ours is the packet that brought the frame's last octet, wherever earlier ones were.
        last, complete = stream.packets(offset + header + frame.length)
        if (frame.packet, their.packet) == (last, complete) and last < complete:
            return "overtaken packets: tshark names the one that filled the hole, zmtpscope the one with the last octet"
        return None
    flags = data[offset] if offset < len(data) and header else None
    if flags is not None and flags not in KNOWN_FLAGS:
        return "unknown flags octet: tshark stops"
    after = bisect.bisect_right(starts, offset)
    if after < len(starts) and starts[after] < offset + header and frame.long:
        return "long header across two packets: tshark loses its place"
    if data[offset + header:offset + header + 5] == b"^RROR" and their is not None and their._replace(name=None) == frame._replace(name=None):
        return "^RROR: its name is not read"
    return None


def compare(our: List[Tuple[int, Frame]], stream: Stream) -> Tuple[int, int, List[Tuple[Optional[str], str]]]:
    """Frames compared, frames equal, and differences: the explanation (if any) and both sides."""
    equal, differences = 0, []
    for index in range(max(len(our), len(stream.frames))):
        mine = our[index] if index < len(our) else None
        their = stream.frames[index] if index < len(stream.frames) else None
        if mine is not None and mine[1] == their:
            equal += 1
            continue
        why = explain(mine, their, stream)
        differences.append((why, f"frame {index}: ours {mine}, tshark's {their}"))
        if not (mine and their and mine[1]._replace(name=None, packet=0) == their._replace(name=None, packet=0)):
            return index + 1, equal, differences
    return max(len(our), len(stream.frames)), equal, differences


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tshark", default="tshark", help="tshark 4.4 or newer")
    parser.add_argument("--zmtpscope", default="target/release/zmtpscope")
    parser.add_argument("-v", "--verbose", action="store_true", help="show every difference, not the first of each kind")
    parser.add_argument("capture", nargs="+")
    arguments = parser.parse_args()
    version = version_of(arguments.tshark)
    print(f"tshark {'.'.join(map(str, version))}")
    total, classes = collections.Counter(), collections.Counter()
    for capture in arguments.capture:
        counts, found, left = one(arguments, capture)
        total += counts
        shown = set()
        print(f"{capture}: {counts['connections']} connections, {counts['frames']} frames, {counts['compared']} compared, {counts['equal']} equal"
              + "".join(f"; {number} left out ({why})" for why, number in sorted(left.items())))
        for why, detail in found:
            classes[why or "UNEXPLAINED"] += 1
            if arguments.verbose or why not in shown:
                print(f"    {why or 'UNEXPLAINED'}: {detail}")
            shown.add(why)
    print(f"all: {len(arguments.capture)} captures, {total['connections']} connections, {total['frames']} frames, "
          f"{total['compared']} compared, {total['equal']} equal")
    for why, number in classes.most_common():
        print(f"    {number} differences: {why}")
    sys.exit(1 if classes["UNEXPLAINED"] else 0)


def one(arguments: argparse.Namespace, capture: str) -> Tuple[collections.Counter, list, collections.Counter]:
    """One capture: counts, differences, and what was left out."""
    our, connections, left = ours(arguments.zmtpscope, capture)
    counts, found = collections.Counter(connections=len(connections)), []
    if not connections:
        return counts, found, left
    ports = sorted({int(row["server"].rsplit(":", 1)[1]) for row in connections})
    streams = theirs(arguments.tshark, capture, ports)
    by_way: Dict[Way, List[Stream]] = collections.defaultdict(list)
    for (way, _), stream in sorted(streams.items(), key=lambda item: item[0][1]):
        by_way[way].append(stream)
    for row in sorted(connections, key=lambda row: row["conn"]):
        for way in [(row["client"], row["server"]), (row["server"], row["client"])]:
            frames = our.get((row["conn"], *way), [])
            candidates = [stream for stream in by_way[way] if any(row["start_packet"] <= packet <= row["end_packet"] for _, _, packet in stream.segments)]
            stream = candidates[0] if candidates else Stream()
            compared, equal, differences = compare(frames, stream)
            counts += collections.Counter(frames=len(frames), compared=compared, equal=equal)
            found += [(why, f"#{row['conn']} {way[0]} > {way[1]} {detail}") for why, detail in differences]
    return counts, found, left


if __name__ == "__main__":
    main()
