"""One request with http.client: http_client.py METHOD URL"""
import http.client
import sys
import urllib.parse

method, url = sys.argv[1:]
parts = urllib.parse.urlsplit(url)
kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
connection = kind(parts.netloc)
connection.request(method, parts.path, body=b"secret" if method == "POST" else None)
answer = connection.getresponse()
print(answer.status)
while part := answer.read1():
    print(part.decode(), end="", flush=True)
