#!/usr/bin/env python3
"""Is the confidence that `zmtpscope paths` reports worth what it says?

usage: benches/calibration.py [FOLDER] [--blind] [--by evidence] [--only 'GLOB,GLOB'] [--zmtpscope target/release/zmtpscope]

FOLDER (default: fixtures/) holds captures with what is known about them: NAME.truth.json with `requests[]`, each with `request_hops[]` and
`reply_hops[]` (src, dst, ordinal), and `capture`, the file or files (default NAME.pcap); see fixtures/README.md. A link joins two hops that
follow each other on a path, and has the confidence of the later one. It is right if the truth has it, wrong if the truth knows one of the two
messages and does not join it to the other; links between messages that the truth does not know are left out. A request that a broker asks of
several has a turn at each, though the truth has its messages in one row. Printed is, for each range of confidences, how many links were
reported, how many are right, and the mean confidence: right and reported should be about the same.

Where packets were taken out (`visible` in the truth) messages are numbered otherwise: they are known by their frames, read with `zmtpscope
messages` from the capture that was not made equal. Equal ones of a direction keep their order, so where one of them is lost, others may be taken for
it: those cases are counted apart. --by evidence says which kind of link the confidences belong to. Exit status 0 always: it measures.
"""
import argparse
import bisect
import collections
import fnmatch
import json
import os
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
EDGES = [0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999]


def cases(folder, only):
    for path, _, files in sorted(os.walk(folder)):
        for name in sorted(files):
            stem = os.path.join(path, name.removesuffix(".truth.json"))
            label = os.path.relpath(stem, folder)
            if name.endswith(".truth.json") and any(fnmatch.fnmatch(label, glob) for glob in only.split(",")):
                with open(os.path.join(path, name), encoding="utf-8") as file:
                    yield label, stem, json.load(file)


def captures(stem, truth, blind):
    names = truth.get("blind_capture") if blind else truth.get("capture")
    if not names:
        names = [] if blind else [os.path.basename(stem) + end for end in (".pcap", ".pcapng")]
        names = names[:1] if names and os.path.exists(os.path.join(os.path.dirname(stem), names[0])) else names[1:]
    files = [os.path.join(os.path.dirname(stem), name) for name in ([names] if isinstance(names, str) else names)]
    return files if files and all(map(os.path.isfile, files)) else None


def hops(request):
    return request.get("request_hops", []) + request.get("reply_hops", [])


def key(hop):
    return hop["src"], hop["dst"], hop["ordinal"]


def is_lossy(truth):
    return any("visible" in hop for request in truth["requests"] for hop in hops(request))


def fingerprint(frames):
    """What tells a message from others: its frames, of long ones the length."""
    return tuple(int(frame.rsplit(":", 1)[1]) if frame.startswith("sha256:") else frame for frame in frames)


def renumbering(truth, messages):
    """Ordinals of the truth by what the capture numbers otherwise; what the truth does not know has none."""
    known = collections.defaultdict(list)
    for request in truth["requests"]:
        for hop in hops(request):
            if hop.get("visible", True):
                known[hop["src"], hop["dst"], fingerprint(hop["frames_hex"])].append(hop["ordinal"])
    for ordinals in known.values():
        ordinals.sort(reverse=True)
    numbers = {}
    for row in messages:
        if row["type"] == "message" and not any(part["missing"] for part in row["parts"]):
            frames = [part["hex"] if part["length"] <= 512 else f"sha256::{part['length']}" for part in row["parts"]]
            ordinals = known.get((row["src"], row["dst"], fingerprint(frames)))
            if ordinals:
                numbers[key(row)] = row["src"], row["dst"], ordinals.pop()
    return numbers


def judge(truth, paths, numbers=None):
    """(evidence, confidence, right) of every link that the truth can judge; `numbers` where messages are numbered otherwise"""
    known, right = set(), set()
    for request in truth["requests"]:
        keys = list(map(key, hops(request)))
        known.update(keys)
        right.update(zip(keys, keys[1:]))
        forwards = keys[1:len(request.get("request_hops", []))]
        right.update((asked, told) for asked in forwards for told in keys if told[:2] == asked[1::-1])
    for path in paths:
        row = path["request"] + path["reply"]
        for cause, effect in zip(row, row[1:]):
            link = key(cause), key(effect)
            if numbers is not None:
                link = numbers.get(link[0]), numbers.get(link[1])
                if None in link:
                    continue
            if link[0] in known or link[1] in known:
                yield effect["evidence"], effect["confidence"], link in right


class Bins:
    """Links by confidence."""

    def __init__(self):
        self.bins = [[0, 0, 0.0] for _ in EDGES]

    def add(self, confidence, right):
        one = self.bins[bisect.bisect_right(EDGES, confidence) - 1]
        one[0] += 1
        one[1] += right
        one[2] += confidence

    def show(self, title):
        print(f"{title}\nconfidence        links     right   share right   reported")
        for low, high, (links, right, total) in zip(EDGES, [*EDGES[1:], 1.0], self.bins):
            if links:
                print(f"{low:5.3f} to {high:5.3f}  {links:7}   {right:7}        {right / links:.4f}     {total / links:.4f}")


def rows(zmtpscope, view, options, files):
    """What a view says, and why not if it cannot."""
    done = subprocess.run([zmtpscope, view, "-q", "--format", "jsonl", *options, *files], capture_output=True, text=True, check=False)
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr.strip()[-200:] if done.returncode else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default=os.path.join(ROOT, "fixtures"))
    parser.add_argument("--blind", action="store_true", help="the captures whose bodies were made equal (`blind_capture`)")
    parser.add_argument("--by", choices=["evidence"], help="a table for each kind of evidence")
    parser.add_argument("--only", default="*", help="only cases whose path in FOLDER matches")
    target = os.environ.get("CARGO_TARGET_DIR") or os.path.join(ROOT, "target")
    parser.add_argument("--zmtpscope", default=os.path.join(target, "release", "zmtpscope"))
    args = parser.parse_args()
    tables, judged, left_out = collections.defaultdict(Bins), collections.Counter(), 0
    for label, stem, truth in cases(args.folder, args.only):
        files = captures(stem, truth, args.blind)
        if not files or not any(map(hops, truth.get("requests") or [])):
            left_out += 1
            continue
        keys = ["--keylog", stem + ".keylog"] if os.path.exists(stem + ".keylog") else []
        paths, failed = rows(args.zmtpscope, "paths", keys, files)
        numbers, kind = None, "nothing is missing"
        if is_lossy(truth) and not failed:
            messages, failed = rows(args.zmtpscope, "messages", [*keys, "--payload", "hex", "--max-body", "512"], captures(stem, truth, False))
            numbers, kind = renumbering(truth, messages), "packets are missing"
        if failed:
            print(f"{label}: {failed}", file=sys.stderr)
            continue
        judged[kind] += 1
        for evidence, confidence, right in judge(truth, paths, numbers):
            tables[f"{kind}, {evidence}" if args.by else kind].add(confidence, right)
    print(f"{sum(judged.values())} cases judged, {left_out} without paths to judge: {dict(judged)}")
    for title, table in sorted(tables.items()):
        table.show(f"\n{title}")


if __name__ == "__main__":
    main()
