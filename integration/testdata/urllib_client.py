"""One request with urllib: urllib_client.py METHOD URL"""
import sys
import urllib.error
import urllib.request

method, url = sys.argv[1:]
request = urllib.request.Request(url, method=method, data=b"secret" if method == "POST" else None)
try:
    answer = urllib.request.urlopen(request)
except urllib.error.HTTPError as refused:
    answer = refused
print(answer.status)
while part := answer.read1():
    print(part.decode(), end="", flush=True)
