#!/usr/bin/env python3
"""CURVE peers of a test: a server and its clients, each client a process of its own.

usage: curve.py [--library LIBZMQ] [--requests K]

Prints one JSON line at once: {"filter": "a BPF filter for them"}; waits for one line on standard input; then two clients, one
forked and one a new program, send K requests each, and a second JSON line says which bodies were sent: {"sent": [text, ...]}.
With --library the given libzmq is used through ctypes, else pyzmq's. The server's public key, no secret, is in arguments.
"""
import argparse
import ctypes
import json
import os
import subprocess
import sys

REQ, REP = 3, 4
CURVE_SERVER, PUBLICKEY, SECRETKEY, SERVERKEY, LAST_ENDPOINT, RCVTIMEO = 47, 48, 49, 50, 32, 27
PATIENCE_MS = 20_000


class Pyzmq:
    def __init__(self):
        import zmq
        self._zmq, self._context = zmq, zmq.Context()

    def keypair(self):
        return self._zmq.curve_keypair()

    def socket(self, kind, options):
        made = self._context.socket(kind)
        for option, value in options.items():
            made.setsockopt(option, value)
        return made


class Library:
    """The few calls that are needed of a libzmq by path."""

    def __init__(self, path):
        self.zmq = ctypes.CDLL(path, use_errno=True)
        for name in ("zmq_ctx_new", "zmq_socket"):
            getattr(self.zmq, name).restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self.zmq.zmq_ctx_new())

    def check(self, result):
        if result < 0:
            raise OSError(ctypes.get_errno(), "libzmq")
        return result

    def keypair(self):
        public, secret = ctypes.create_string_buffer(41), ctypes.create_string_buffer(41)
        self.check(self.zmq.zmq_curve_keypair(public, secret))
        return public.value, secret.value

    def socket(self, kind, options):
        made = LibrarySocket(self, ctypes.c_void_p(self.zmq.zmq_socket(self._context, kind)))
        for option, value in options.items():
            data = value if isinstance(value, bytes) else bytes(ctypes.c_int(value))
            self.check(self.zmq.zmq_setsockopt(made.handle, option, data, ctypes.c_size_t(len(data))))
        return made


class LibrarySocket:
    def __init__(self, library, handle):
        self.library, self.handle = library, handle

    def bind(self, endpoint):
        self.library.check(self.library.zmq.zmq_bind(self.handle, endpoint.encode()))

    def connect(self, endpoint):
        self.library.check(self.library.zmq.zmq_connect(self.handle, endpoint.encode()))

    def getsockopt(self, option):
        value, size = ctypes.create_string_buffer(256), ctypes.c_size_t(256)
        self.library.check(self.library.zmq.zmq_getsockopt(self.handle, option, value, ctypes.byref(size)))
        return value.value

    def send(self, body):
        self.library.check(self.library.zmq.zmq_send(self.handle, body, ctypes.c_size_t(len(body)), 0))

    def recv(self):
        body = ctypes.create_string_buffer(256)
        length = self.library.check(self.library.zmq.zmq_recv(self.handle, body, ctypes.c_size_t(256), 0))
        return body.raw[:length]


def client(zmq, endpoint, server_key, name, requests):
    public, secret = zmq.keypair()
    socket = zmq.socket(REQ, {SERVERKEY: server_key, PUBLICKEY: public, SECRETKEY: secret, RCVTIMEO: PATIENCE_MS})
    socket.connect(endpoint)
    for number in range(requests):
        body = f"{name} asks {number}".encode()
        socket.send(body)
        assert socket.recv() == body + b", is answered"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library")
    parser.add_argument("--requests", type=int, default=5)
    # The key in hexadecimal: its own text may begin with a hyphen.
    parser.add_argument("--client", nargs=3, metavar=("ENDPOINT", "SERVERKEY", "NAME"), help="be a client only")
    args = parser.parse_args()
    new = (lambda: Library(args.library)) if args.library else Pyzmq
    if args.client:
        endpoint, server_key, name = args.client
        client(new(), endpoint, bytes.fromhex(server_key), name, args.requests)
        return
    zmq = new()
    public, secret = zmq.keypair()
    server = zmq.socket(REP, {CURVE_SERVER: 1, PUBLICKEY: public, SECRETKEY: secret, RCVTIMEO: PATIENCE_MS})
    server.bind("tcp://127.0.0.1:*")
    endpoint = server.getsockopt(LAST_ENDPOINT).rstrip(b"\0").decode()
    print(json.dumps({"filter": f"tcp port {endpoint.rpartition(':')[2]}"}), flush=True)
    if not sys.stdin.readline():
        sys.exit("curve.py: nobody said go")
    forked = os.fork()
    if forked == 0:
        # A context does not outlive a fork: this one is new.
        client(new(), endpoint, public, "forked", args.requests)
        os._exit(0)
    again = [sys.executable, __file__, "--requests", str(args.requests), "--client", endpoint, public.hex(), "executed"]
    executed = subprocess.Popen(again + (["--library", args.library] if args.library else []))
    sent = []
    for _ in range(2 * args.requests):
        body = server.recv()
        server.send(body + b", is answered")
        sent += [body.decode(), body.decode() + ", is answered"]
    if executed.wait() or os.waitpid(forked, 0)[1]:
        sys.exit("curve.py: a client broke")
    print(json.dumps({"sent": sent}), flush=True)


if __name__ == "__main__":
    main()
