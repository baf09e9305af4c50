"""Requests that trust one place only: system_roots.py URL FILE|FOLDER...

Waits for a line on standard input first where the first word is "wait"."""
import os
import ssl
import sys
import urllib.request

words = sys.argv[1:]
if words[0] == "wait":
    print("ready", flush=True)
    sys.stdin.readline()
    words = words[1:]
for place in words[1:]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if os.path.isdir(place):
        context.load_verify_locations(capath=place)
    else:
        context.load_verify_locations(cafile=place)
    try:
        print(place, urllib.request.urlopen(words[0], context=context).status, flush=True)
    except OSError as error:
        print(place, getattr(error, "reason", error), flush=True)
