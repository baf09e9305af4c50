"""One request with aiohttp: aiohttp_client.py METHOD URL"""
import asyncio
import sys

import aiohttp


async def main(method, url):
    body = b"secret" if method == "POST" else None
    async with aiohttp.ClientSession() as session, session.request(method, url, data=body) as answer:
        print(answer.status)
        async for part in answer.content.iter_any():
            print(part.decode(), end="", flush=True)


asyncio.run(main(*sys.argv[1:]))
