"""An MCP client that calls the server's tool once."""

import asyncio
import os

from mcp import Client


async def main():
    async with Client(os.environ["SERVER_URL"]) as client:
        await client.list_tools()
        answer = await client.call_tool("balance", {"account": "4711-0815", "api_key": "sk-example-5dc0ffee"})
        print(answer.content[0].text)


asyncio.run(main())
