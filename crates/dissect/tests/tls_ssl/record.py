#!/usr/bin/env python3
"""Records connections of SSL 3.0, and those whose ClientHello has the form of SSL 2.0 (RFC 5246 appendix E.2).

    record.py FOLDER    writes FOLDER/recorded.txt: for each connection its name, its key log and the bytes of both sides

Needs Python 3.11, openssl and tlslite-ng 0.8.2, which still speaks SSL 3.0, from PyPI.
"""

import os
import subprocess
import sys
import tempfile
import threading
import socket

from tlslite.api import HandshakeSettings, TLSConnection, X509CertChain, parsePEMKey
from tlslite import tlsconnection
from tlslite.messages import ClientHello

QUESTION = b"a question from the client"


class Socket:
    """A socket that records what it sends."""

    def __init__(self, inner, direction, sent):
        self.inner, self.direction, self.sent = inner, direction, sent

    def send(self, data):
        self.sent.append((self.direction, bytes(data)))
        self.inner.sendall(data)
        return len(data)

    def sendall(self, data):
        self.send(data)

    def __getattr__(self, name):
        return getattr(self.inner, name)


class Ssl2Hello(ClientHello):
    """A ClientHello in the form of SSL 2.0, which has no extensions."""

    def __init__(self):
        super().__init__(ssl2=True)


class Client(TLSConnection):
    """Sends its ClientHello without a record."""

    def _sendMsg(self, message, *arguments, **named):
        if not isinstance(message, Ssl2Hello):
            yield from super()._sendMsg(message, *arguments, **named)
            return
        message.extensions = None
        version, self.version = self.version, (0, 2)
        yield from super()._sendMsg(message, *arguments, **named)
        self.version = version


def settings(version):
    chosen = HandshakeSettings()
    chosen.minVersion = chosen.maxVersion = version
    chosen.cipherNames = ["aes128"]
    chosen.macNames = ["sha"]
    chosen.keyExchangeNames = ["rsa"]
    chosen.useExtendedMasterSecret = False
    return chosen


def certificate():
    folder = tempfile.mkdtemp()
    key, chain = os.path.join(folder, "key.pem"), os.path.join(folder, "chain.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", chain, "-days",
                    "36500", "-subj", "/CN=agent-b.example/O=RSA"], check=True, capture_output=True)
    with open(key) as file:
        private = parsePEMKey(file.read(), private=True)
    parsed = X509CertChain()
    with open(chain) as file:
        parsed.parsePemList(file.read())
    return private, parsed


def connect(name, version, is_ssl2, private, chain):
    sent = []
    ends = socket.socketpair()
    server = TLSConnection(Socket(ends[1], "S", sent))

    def serve():
        server.handshakeServer(certChain=chain, privateKey=private, settings=settings(version))
        server.write(server.read(min=len(QUESTION), max=len(QUESTION))[::-1])

    thread = threading.Thread(target=serve)
    thread.start()
    tlsconnection.ClientHello = Ssl2Hello if is_ssl2 else ClientHello
    client = (Client if is_ssl2 else TLSConnection)(Socket(ends[0], "C", sent))
    client.handshakeClientCert(settings=settings(version), session=None, serverName=None)
    client.write(QUESTION)
    assert client.read(min=len(QUESTION), max=len(QUESTION)) == QUESTION[::-1]
    thread.join()
    client.close()
    key = f"key CLIENT_RANDOM {client._clientRandom.hex()} {client.session.masterSecret.hex()}"
    return [f"name {name}", key, *[f"{direction} {data.hex()}" for direction, data in sent]]


def main(folder):
    private, chain = certificate()
    lines = []
    for name, version in [("SSL 3.0", (3, 0)), ("TLS 1.0", (3, 1)), ("TLS 1.2", (3, 3))]:
        for form in [False, True]:
            if form or name == "SSL 3.0":
                lines += connect(name + (", hello of SSL 2.0" if form else ""), version, form, private, chain)
    with open(os.path.join(folder, "recorded.txt"), "w") as out:
        out.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]))
