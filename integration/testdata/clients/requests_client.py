"""One request with requests: requests_client.py METHOD URL"""
import sys

import requests

method, url = sys.argv[1:]
with requests.request(method, url, data=b"secret" if method == "POST" else None, stream=True) as answer:
    print(answer.status_code)
    for part in answer.iter_content(None):
        print(part.decode(), end="", flush=True)
