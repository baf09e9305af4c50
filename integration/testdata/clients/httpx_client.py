"""One request with httpx: httpx_client.py METHOD URL"""
import sys

import httpx

method, url = sys.argv[1:]
with httpx.stream(method, url, content=b"secret" if method == "POST" else None) as answer:
    print(answer.status_code)
    for part in answer.iter_text():
        print(part, end="", flush=True)
