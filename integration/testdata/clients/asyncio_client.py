"""One request by asyncio's own streams: asyncio_client.py METHOD URL"""
import asyncio
import sys
import urllib.parse


async def main(method, url):
    parts = urllib.parse.urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, 443, ssl=True)
    writer.write(f"{method} {parts.path} HTTP/1.0\r\nHost: {parts.hostname}\r\n\r\n".encode())
    await writer.drain()
    while part := await reader.read(65536):
        print(part.decode(), end="", flush=True)
    writer.close()


asyncio.run(main(*sys.argv[1:]))
