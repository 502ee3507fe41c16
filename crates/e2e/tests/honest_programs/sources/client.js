// Sends body.json three times on one connection.
const fs = require("fs");
const https = require("https");

const body = fs.readFileSync("body.json");
const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
const options = {
  host: "localhost", family: 4, port: 8443, method: "POST", agent, ca: fs.readFileSync("server.pem"),
  headers: { "Content-Type": "application/json", "Content-Length": body.length },
};

function send(more) {
  const request = https.request(options, (answer) => {
    answer.on("data", (data) => process.stdout.write(data));
    answer.on("end", () => (more > 0 ? send(more - 1) : agent.destroy()));
  });
  request.end(body);
}
send(2);
