#!/usr/bin/env python3
"""Writes a capture many times over, each time later and between other hosts: is memory that of what goes on at once?

usage: benches/repeat.py CAPTURE TIMES [> LONGER.pcap]
       benches/repeat.py target/benches/small-4-clients-250.pcap 40 | /usr/bin/time -v zmtpscope analyze -

CAPTURE is a pcap file of Ethernet frames with IPv4 packets in them, as those of benches/capture.py are. The second and the third octet of
all addresses tell which time it is, so connections are new ones each time; checksums are left as they are.
"""
import argparse
import struct
import sys

ETHERNET = 1
GLOBAL_HEADER, RECORD_HEADER = 24, 16
# Of the source and the destination of an IPv4 packet, behind an Ethernet header without tags.
ADDRESSES = (14 + 12, 14 + 16)
MAGICS = {0xA1B2C3D4: 10**6, 0xA1B23C4D: 10**9}


def records(capture):
    """(offset of the record, octets of the packet, whether it is IPv4) of each packet"""
    at = GLOBAL_HEADER
    while at + RECORD_HEADER <= len(capture):
        (length,) = struct.unpack_from("<I", capture, at + 8)
        packet = at + RECORD_HEADER
        yield at, length, length >= 34 and capture[packet + 12 : packet + 14] == b"\x08\x00"
        at = packet + length


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture")
    parser.add_argument("times", type=int)
    arguments = parser.parse_args()
    with open(arguments.capture, "rb") as file:
        capture = bytearray(file.read())
    magic, link_type = struct.unpack_from("<I16xI", capture)
    if magic not in MAGICS or link_type != ETHERNET:
        sys.exit(f"{arguments.capture}: no little-endian pcap file of Ethernet frames")
    per_second = MAGICS[magic]
    found = list(records(capture))
    at_times = [seconds * per_second + part for seconds, part in (struct.unpack_from("<II", capture, at) for at, _, _ in found)]
    span = max(at_times) - min(at_times) + per_second
    out = sys.stdout.buffer
    out.write(capture[:GLOBAL_HEADER])
    for number in range(arguments.times):
        host = bytes(divmod(number, 256))
        for (at, _, is_ipv4), time in zip(found, at_times):
            struct.pack_into("<II", capture, at, *divmod(time + number * span, per_second))
            if is_ipv4:
                for address in ADDRESSES:
                    place = at + RECORD_HEADER + address + 1
                    capture[place : place + 2] = host
        out.write(memoryview(capture)[GLOBAL_HEADER : found[-1][0] + RECORD_HEADER + found[-1][1]])


if __name__ == "__main__":
    main()
