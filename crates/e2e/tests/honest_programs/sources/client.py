"""Sends body.json twice on one connection. Arguments: host, then any of after-handshake, multipath."""

import http.client
import socket
import ssl
import sys

host, *features = sys.argv[1:]
context = ssl.create_default_context(cafile="server.pem")
if "after-handshake" in features:
    context.post_handshake_auth = True
    context.load_cert_chain("client.pem", "client.key")
connection = http.client.HTTPSConnection(host, 8443, context=context)
if "multipath" in features:
    raw = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    raw.connect((host, 8443))
    connection.sock = context.wrap_socket(raw, server_hostname=host)
body = open("body.json", "rb").read()
for _ in range(2):
    connection.request("POST", "/", body, {"Content-Type": "application/json"})
    print(connection.getresponse().read().decode())
connection.close()
