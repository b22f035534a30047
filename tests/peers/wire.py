"""ZMTP 3 off a capture, in plain Python: the second opinion that the fixtures' truth comes from.

Shares nothing with zmtpscope on purpose. It reads classic pcap (Ethernet, null, raw IP, SLL, SLL2) and whole streams into memory, and
knows no loss: a stream with a hole is parsed up to the hole.
"""
import ipaddress
import struct
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

MORE, LONG, COMMAND = 1, 2, 4
FIN, SYN, RST, ACK = 1, 2, 4, 16
ETHERTYPES = {0x0800: 4, 0x86DD: 6}


@dataclass
class Packet:
    ts: int  # ns
    at: int  # where in the file its bytes start
    data: bytes


@dataclass
class Piece:
    """A part of one packet's TCP payload: `length` stream bytes from `offset` on, at `at` in the file."""

    offset: int
    length: int
    pkt: int
    ts: int
    at: int


@dataclass
class Frame:
    flags: int
    body: bytes
    start: int  # stream offset of the header
    body_start: int
    end: int
    inside: bool = False  # belongs to an application message

    @property
    def command(self) -> bool:
        return bool(self.flags & COMMAND)


@dataclass
class Message:
    ordinal: int
    frames: List[Frame]

    @property
    def start(self) -> int:
        return self.frames[0].start

    @property
    def end(self) -> int:
        return self.frames[-1].end


@dataclass
class Half:
    """One direction of a connection."""

    endpoint: str
    isn: Optional[int] = None
    data: bytes = b""
    segments: List[Tuple[int, int, int, int, bytes]] = field(default_factory=list)  # seq, pkt, ts, at, payload
    pieces: List[Piece] = field(default_factory=list)
    resent: int = 0
    hole: bool = False
    closed: Optional[str] = None
    greeting: bytes = b""
    head: bytes = b""  # HTTP: a request for ZWS, or the answer to it
    opcodes: Dict[str, int] = field(default_factory=dict)
    frames: List[Frame] = field(default_factory=list)
    messages: List[Message] = field(default_factory=list)
    commands: Dict[str, int] = field(default_factory=dict)
    metadata: Optional[Dict[str, bytes]] = None
    parsed: bool = True

    def piece_at(self, offset: int) -> Piece:
        return next(p for p in self.pieces if p.offset <= offset < p.offset + p.length)


@dataclass
class Connection:
    id: int
    client: Half
    server: Half
    opened: int
    syn: bool = False
    established: bool = False

    def halves(self):
        return (self.client, self.server), (self.server, self.client)

    @property
    def zmtp(self) -> bool:
        return self.mechanism is not None

    @property
    def websocket(self) -> bool:
        return bool(self.client.head and self.server.head)

    @property
    def mechanism(self) -> Optional[str]:
        """"" where WebSocket peers agreed on none; None: not ZMTP"""
        if self.websocket:
            return subprotocol(self.server.head).partition("/")[2]
        greeting = self.client.greeting or self.server.greeting
        return greeting[12:32].rstrip(b"\0").decode() if greeting else None


def read_pcap(path) -> Tuple[int, List[Packet], bytearray]:
    """(link type, packets, the file's bytes)"""
    raw = open(path, "rb").read()
    little = raw[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1")
    order = "<" if little else ">"
    magic, link = struct.unpack(order + "I16xI", raw[:24])
    scale = {0xA1B2C3D4: 1000, 0xA1B23C4D: 1}[magic]
    packets, at = [], 24
    while at + 16 <= len(raw):
        seconds, part, kept, _ = struct.unpack_from(order + "IIII", raw, at)
        packets.append(Packet(seconds * 10**9 + part * scale, at + 16, raw[at + 16 : at + 16 + kept]))
        at += 16 + kept
    return link & 0xFFFF, packets, bytearray(raw)


def network_start(link: int, data: bytes) -> int:
    """where the IP header begins"""
    return {1: 14, 0: 4, 101: 0, 12: 0, 113: 16, 276: 20}[link]


def tcp_of(link: int, data: bytes):
    """(source, destination, seq, flags, payload start, payload end), or None"""
    at = network_start(link, data)
    version = data[at] >> 4
    if version == 4:
        if data[at + 9] != 6:
            return None
        total = struct.unpack_from(">H", data, at + 2)[0] or len(data) - at
        tcp, end = at + (data[at] & 15) * 4, at + total
        hosts = [str(ipaddress.IPv4Address(data[at + o : at + o + 4])) for o in (12, 16)]
    else:
        if data[at + 6] != 6:
            return None
        tcp, end = at + 40, at + 40 + struct.unpack_from(">H", data, at + 4)[0]
        hosts = [f"[{ipaddress.IPv6Address(data[at + o : at + o + 16])}]" for o in (8, 24)]
    sport, dport, seq = struct.unpack_from(">HHI", data, tcp)
    return (f"{hosts[0]}:{sport}", f"{hosts[1]}:{dport}", seq, data[tcp + 13], tcp + (data[tcp + 12] >> 4) * 4, end)


def connections_of(link: int, packets: List[Packet]) -> List[Connection]:
    """The TCP connections in order of their first packet, streams assembled."""
    made, current = [], {}
    for number, packet in enumerate(packets):
        parts = tcp_of(link, packet.data)
        if parts is None:
            continue
        source, target, seq, flags, start, end = parts
        key = frozenset((source, target))
        fresh = flags & SYN and not flags & ACK
        if key not in current or (fresh and current[key].client.isn != (seq + 1) & 0xFFFFFFFF):
            current[key] = Connection(len(made), Half(source), Half(target), packet.ts, bool(fresh))
            made.append(current[key])
        connection = current[key]
        half = connection.client if connection.client.endpoint == source else connection.server
        if flags & SYN:
            half.isn = (seq + 1) & 0xFFFFFFFF
        elif half.isn is None:
            half.isn = seq
        if flags & SYN and flags & ACK:
            connection.established = True
        if end > start:
            half.segments.append((seq, number, packet.ts, packet.at + start, packet.data[start:end]))
        if flags & (FIN | RST) and half.closed is None:
            half.closed = "RST" if flags & RST else "FIN"
    for connection in made:
        for half in (connection.client, connection.server):
            assemble(half)
    return made


def assemble(half: Half):
    """Bytes in order up to the first hole; which packet brought each first."""
    waiting = {}
    for seq, number, ts, at, payload in half.segments:
        offset = (seq - half.isn) & 0xFFFFFFFF
        if offset >= 0x80000000:
            continue  # before the start: a keep-alive
        waiting.setdefault(offset, []).append((number, ts, at, payload))
    data = bytearray()
    for offset in sorted(waiting):
        for number, ts, at, payload in waiting[offset]:
            if offset > len(data):
                half.hole = True
                break
            fresh = offset + len(payload) - len(data)
            if fresh <= 0:
                half.resent += 1
                continue
            skip = len(payload) - fresh
            half.pieces.append(Piece(len(data), fresh, number, ts, at + skip))
            data += payload[skip:]
    half.data = bytes(data)


def parse(connection: Connection):
    """Greeting, frames, messages of both directions."""
    for half, _ in connection.halves():
        if half.data[:1] == b"\xff" and len(half.data) >= 64 and half.data[9] & 1 and half.data[10] >= 3:
            half.greeting = half.data[:64]
        elif subprotocol(half.data).startswith("ZWS2.0"):
            half.head = half.data[: half.data.index(b"\r\n\r\n") + 4]
    for half, _ in connection.halves():
        if half.greeting:
            parse_frames(half)
            join_messages(half, connection.mechanism)
        elif connection.websocket:
            parse_websocket(half)
            join_messages(half, connection.mechanism)
        else:
            half.parsed = not half.data


def parse_frames(half: Half):
    at, data = 64, half.data
    while at < len(data):
        flags = data[at]
        wide = flags & LONG
        if flags > 7 or len(data) < at + (9 if wide else 2):
            half.parsed = False
            return
        length = struct.unpack_from(">Q", data, at + 1)[0] if wide else data[at + 1]
        body = at + (9 if wide else 2)
        if body + length > len(data):
            half.parsed = False
            return
        half.frames.append(Frame(flags, data[body : body + length], at, body, body + length))
        at = body + length


def subprotocol(data: bytes) -> str:
    """What an HTTP head has as Sec-WebSocket-Protocol"""
    head, end, _ = data.partition(b"\r\n\r\n")
    named = [line.partition(b":") for line in head.split(b"\r\n")[1:]] if end else []
    return next((value.strip().decode("latin-1") for name, _, value in named if name.lower() == b"sec-websocket-protocol"), "")


def parse_websocket(half: Half):
    """One frame of ZMTP in each binary message; libzmq sends no fragments. Its offsets are those of the WebSocket frame."""
    at, data = len(half.head), half.data
    while at < len(data):
        opcode, length, start = data[at] & 15, data[at + 1] & 127, at + 2
        if length > 125:
            width = {126: 2, 127: 8}[length]
            length, start = int.from_bytes(data[start : start + width], "big"), start + width
        mask = data[start : start + 4] if data[at + 1] & 128 else b""
        start += len(mask)
        payload = data[start : start + length]
        if data[at] & 0x70 or not data[at] & 128 or len(payload) < length:
            half.parsed = False
            return
        if mask:
            key = int.from_bytes((mask * (length // 4 + 1))[:length], "big")
            payload = (int.from_bytes(payload, "big") ^ key).to_bytes(length, "big")
        half.opcodes[str(opcode)] = half.opcodes.get(str(opcode), 0) + 1
        if opcode == 2:
            flags = {0: 0, 1: MORE, 2: COMMAND}[payload[0]]
            half.frames.append(Frame(flags, payload[1:], at, start + 1, start + length))
        at = start + length


def join_messages(half: Half, mechanism: str):
    """Frames -> messages; commands are noted. Inside CURVE each outer frame counts as a message of one part."""
    parts = []
    for frame in half.frames:
        if frame.command:
            note_command(half, frame.body, mechanism)
            continue
        frame.inside = True
        parts.append(frame)
        if not frame.flags & MORE:
            half.messages.append(Message(len(half.messages), parts))
            parts = []
    half.parsed &= not parts


def note_command(half: Half, body: bytes, mechanism: str):
    name = body[1 : 1 + body[0]].decode("latin-1")
    half.commands[name] = half.commands.get(name, 0) + 1
    clear = name == "READY" and mechanism != "CURVE" or name == "INITIATE" and mechanism == "PLAIN"
    if clear:
        half.metadata = metadata_of(body[1 + body[0] :])


def metadata_of(data: bytes) -> Dict[str, bytes]:
    found, at = {}, 0
    while at < len(data):
        name = data[at + 1 : at + 1 + data[at]].decode("latin-1")
        at += 1 + data[at]
        length = struct.unpack_from(">I", data, at)[0]
        found[name] = data[at + 4 : at + 4 + length]
        at += 4 + length
    return found


def read_connections(path) -> Tuple[List[Connection], List[Packet]]:
    link, packets, _ = read_pcap(path)
    connections = connections_of(link, packets)
    for connection in connections:
        parse(connection)
    return connections, packets
