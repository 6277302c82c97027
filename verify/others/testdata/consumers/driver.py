"""Reads "<seconds> [fresh]" lines and answers each with the access token that
the snippet has at that time, and "<seconds> get <url>" lines with the answer."""
import os
import sys

from snippet import Token

clock = 0.0
token = Token(os.environ["SECRET_ID"], now=lambda: clock)
for line in sys.stdin:
    seconds, *how = line.split()
    clock = float(seconds)
    try:
        if how[:1] == ["get"]:
            print(token.get(how[1]).decode(), flush=True)
        else:
            print(token.read(fresh="fresh" in how)["access_token"], flush=True)
    except Exception:
        print("error", flush=True)
