"""An MCP server with one tool. TLS_CERT and TLS_KEY make it serve HTTPS."""

import os

import uvicorn
from mcp.server.mcpserver import MCPServer

server = MCPServer("accounts")


@server.tool()
def balance(account: str, api_key: str) -> str:
    """The balance of an account."""
    return f"account {account} has 1,204.50 euros"


if __name__ == "__main__":
    uvicorn.run(
        server.streamable_http_app(host="0.0.0.0"),
        host="0.0.0.0",
        port=8000,
        ssl_certfile=os.environ.get("TLS_CERT"),
        ssl_keyfile=os.environ.get("TLS_KEY"),
    )
