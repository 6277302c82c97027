"""Prints when the token was issued that takes the place of the one given, or
None."""
import json
import os
import sys

from after import after_401
from snippet import Token

document = after_401(Token(os.environ["SECRET_ID"]), json.loads(sys.argv[1]), tries=2, pause=0)
print(document and document["issued_at"])
