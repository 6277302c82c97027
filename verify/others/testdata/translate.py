"""Prints what CloudFormation's Serverless transform makes of a template, by SAM's
own translator: translate.py TEMPLATE."""

import json
import sys

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

with open(sys.argv[1], encoding="utf-8") as file:
    template = yaml_parse(file.read())
print(json.dumps(Translator({}, Parser()).translate(template, {}), separators=(",", ":")))
