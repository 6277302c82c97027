"""Has the token replaced that is given, and prints what became of it."""
import json
import sys

from snippet import replace

print(replace(json.loads(sys.argv[1]), sys.argv[2]))
