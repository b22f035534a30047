#!/usr/bin/env python3
"""Is the confidence that `zmtpscope paths` reports worth what it says?

usage: benches/calibration.py [FOLDER] [--blind] [--only 'GLOB,GLOB'] [--zmtpscope target/release/zmtpscope]

FOLDER (default: fixtures/) holds captures with what is known about them: NAME.truth.json with `requests[]`, each with `request_hops[]` and
`reply_hops[]` (src, dst, ordinal), and `capture`, the file or files (default NAME.pcap); see fixtures/README.md. A link joins two hops that
follow each other on a path, and has the confidence of the later one. It is right if the truth has it, wrong if the truth knows one of the two
messages and does not join it to the other; links between messages that the truth does not know are left out. Printed is, for each
range of confidences, how many links were reported, how many are right, and the mean confidence: right and reported should be about the same.
Captures with losses are left out (`visible` in their truth: there messages are numbered otherwise). Exit status 0 always: it measures.
"""
import argparse
import bisect
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


def judge(truth, paths):
    """(confidence, right) of every link that the truth can judge"""
    known, right = set(), set()
    for request in truth["requests"]:
        keys = list(map(key, hops(request)))
        known.update(keys)
        right.update(zip(keys, keys[1:]))
    for path in paths:
        row = path["request"] + path["reply"]
        for cause, effect in zip(row, row[1:]):
            link = key(cause), key(effect)
            if link[0] in known or link[1] in known:
                yield effect["confidence"], link in right


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default=os.path.join(ROOT, "fixtures"))
    parser.add_argument("--blind", action="store_true", help="the captures whose bodies were made equal (`blind_capture`)")
    parser.add_argument("--only", default="*", help="only cases whose path in FOLDER matches")
    target = os.environ.get("CARGO_TARGET_DIR") or os.path.join(ROOT, "target")
    parser.add_argument("--zmtpscope", default=os.path.join(target, "release", "zmtpscope"))
    args = parser.parse_args()
    bins = [[0, 0, 0.0] for _ in EDGES]
    judged = left_out = 0
    for label, stem, truth in cases(args.folder, args.only):
        files = captures(stem, truth, args.blind)
        lossy = any("visible" in hop for request in truth.get("requests") or [] for hop in hops(request))
        if not files or lossy or not any(map(hops, truth.get("requests") or [])):
            left_out += 1
            continue
        keys = ["--keylog", stem + ".keylog"] if os.path.exists(stem + ".keylog") else []
        done = subprocess.run([args.zmtpscope, "paths", "-q", "--format", "jsonl", *keys, *files], capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{label}: exit {done.returncode}: {done.stderr.strip()[-200:]}", file=sys.stderr)
            continue
        judged += 1
        for confidence, right in judge(truth, map(json.loads, done.stdout.splitlines())):
            one = bins[bisect.bisect_right(EDGES, confidence) - 1]
            one[0] += 1
            one[1] += right
            one[2] += confidence
    print(f"{judged} cases judged, {left_out} without paths to judge")
    print("confidence        links     right   share right   reported")
    for low, high, (links, right, total) in zip(EDGES, [*EDGES[1:], 1.0], bins):
        if links:
            print(f"{low:5.3f} to {high:5.3f}  {links:7}   {right:7}        {right / links:.4f}     {total / links:.4f}")


if __name__ == "__main__":
    main()
