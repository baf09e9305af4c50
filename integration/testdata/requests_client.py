"""One request with a library: requests_client.py requests|httpx METHOD URL"""
import importlib
import sys

library, method, url = sys.argv[1:]
answer = importlib.import_module(library).request(method, url)
print(answer.status_code)
sys.stdout.write(answer.text)
