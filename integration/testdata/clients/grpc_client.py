"""One call with grpcio: grpc_client.py METHOD URL

The messages are not decoded: they are text.
"""
import sys
import urllib.parse

import grpc

parts = urllib.parse.urlsplit(sys.argv[2])
with grpc.secure_channel(parts.hostname + ":443", grpc.ssl_channel_credentials()) as channel:
    try:
        for message in channel.unary_stream(parts.path)(b"secret", timeout=30):
            print(message.decode(), flush=True)
    except grpc.RpcError as refused:
        sys.exit(f"{refused.code()}: {refused.details()}")
