package main

import (
	"fmt"
	"os"
	"strings"
)

// functions are those that the template deploys, by their folder.
var functions = []string{"issue", "rotate"}

// bundleTemplate is template.yaml as a bundle has it: each function's code is a finished
// archive in the template's folder, not a build from source; version and processor are
// the bundle's.
func bundleTemplate(version, architecture string) ([]byte, error) {
	source, err := os.ReadFile("template.yaml")
	if err != nil {
		return nil, err
	}
	text := string(source)
	for _, function := range functions {
		heading := "\n  " + strings.ToUpper(function[:1]) + function[1:] + "Function:\n"
		before, after, found := strings.Cut(text, heading)
		if !found {
			return nil, fmt.Errorf("template.yaml has no resource %s", strings.TrimSpace(heading))
		}
		// The first ones after the heading are the function's own.
		for from, to := range map[string]string{"      BuildMethod: makefile\n": "", "CodeUri: .\n": "CodeUri: " + function + ".zip\n"} {
			if !strings.Contains(after, from) {
				return nil, fmt.Errorf("%sFunction has no %q", function, from)
			}
			after = strings.Replace(after, from, to, 1)
		}
		text = before + heading + after
	}
	text, err = replaceOnce(text, "    SemanticVersion: 0.0.0\n",
		"    SemanticVersion: "+strings.TrimPrefix(version, "v")+"\n")
	if err != nil {
		return nil, err
	}
	text, err = replaceOnce(text, "    Default: arm64\n    AllowedValues: [arm64, x86_64]\n"+
		"    Description: Processor of both functions. To build for x86_64, set GOARCH_LAMBDA=amd64 in the environment.\n",
		"    Default: "+architecture+"\n    AllowedValues: ["+architecture+"]\n"+
			"    Description: Processor of both functions. This bundle contains them for this one only.\n")
	return []byte(text), err
}

// replaceOnce fails where the template has changed and this file has not.
func replaceOnce(text, from, to string) (string, error) {
	if n := strings.Count(text, from); n != 1 {
		return "", fmt.Errorf("template.yaml has %d places like this one, want 1:\n%s", n, from)
	}
	return strings.Replace(text, from, to, 1), nil
}
