// Answers a POST with its body, in HTTP/1.1, or in HTTP/2 if the client offers it and the argument is "h2".
const fs = require("fs");
const https = require("https");
const http2 = require("http2");

const options = { key: fs.readFileSync("server.key"), cert: fs.readFileSync("server.pem"), allowHTTP1: true };
function answer(request, response) {
  let body = "";
  request.on("data", (data) => (body += data));
  request.on("end", () => {
    response.setHeader("Content-Type", "application/json");
    response.end(body);
  });
}
const server = process.argv[2] === "h2" ? http2.createSecureServer(options, answer) : https.createServer(options, answer);
server.listen(8443, "127.0.0.1");
