"""Prints the environment that `sam local invoke --env-vars` gives a function, by
SAM's own code: sam_environment.py TEMPLATE FUNCTION ENV_FILE."""

import json
import sys

from samcli.commands.local.lib.local_lambda import LocalLambdaRunner
from samcli.lib.providers.sam_function_provider import SamFunctionProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider

template, function, env_file = sys.argv[1:]
stacks, _ = SamLocalStackProvider.get_stacks(template)
functions = SamFunctionProvider(stacks, use_raw_codeuri=True)
with open(env_file, encoding="utf-8") as file:
    overrides = json.load(file)
runner = LocalLambdaRunner(None, functions, cwd=".", real_path=".", aws_region="us-east-1", env_vars_values=overrides)
print(json.dumps(runner._make_env_vars(functions.get(function)).resolve()))
