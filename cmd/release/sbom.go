package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// materials is the bill of materials of a program (CycloneDX), read from the program
// itself by a stock tool. The tool's description of itself is removed, because it differs
// from machine to machine.
func materials(ctx context.Context, binary string) ([]byte, error) {
	out := filepath.Join(filepath.Dir(binary), "sbom.json")
	c := exec.CommandContext(ctx, "go", "tool", "-modfile=tools/go.mod", "cyclonedx-gomod", "bin",
		"-std", "-json", "-noserial", "-notimestamp", "-output", out, binary)
	if said, err := c.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("the bill of materials: %w\n%s", err, said)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		return nil, err
	}
	var document map[string]any
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	metadata, ok := document["metadata"].(map[string]any)
	if components, _ := document["components"].([]any); !ok || len(components) == 0 {
		return nil, errors.New("the bill of materials is empty")
	}
	delete(metadata, "tools")
	text, err = json.MarshalIndent(document, "", "  ")
	return append(text, '\n'), err
}
