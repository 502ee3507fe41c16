"""An HTTPS server that answers a POST with its body. Arguments: address, then any of tls1.2, client-certificate,
after-handshake, keys, fast-open, multipath."""

import http.server
import socket
import ssl
import sys

address, *features = sys.argv[1:]


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "after-handshake" in features:
            self.connection.verify_client_post_handshake()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if ":" in address else socket.AF_INET


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("server.pem", "server.key")
if "client-certificate" in features:
    context.load_verify_locations("client.pem")
    context.verify_mode = ssl.CERT_REQUIRED
if "after-handshake" in features:
    context.load_verify_locations("client.pem")
    context.post_handshake_auth = True
    context.verify_mode = ssl.CERT_OPTIONAL
if "keys" in features:
    context.keylog_filename = "mine.keys"
server = Server((address, 8443), Echo, bind_and_activate=False)
if "multipath" in features:
    server.socket.close()
    server.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
if "fast-open" in features:
    server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 5)
server.server_bind()
server.server_activate()
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
