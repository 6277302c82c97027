//go:build verify

package template

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestTheTemplateReaderAgreesWithCfnLint compares this package's reader of the template
// with cfn-lint's.
func TestTheTemplateReaderAgreesWithCfnLint(t *testing.T) {
	t.Parallel()
	bin := os.Getenv("EVERTOKEN_PYTHON_BIN")
	if bin == "" {
		t.Fatal("EVERTOKEN_PYTHON_BIN is not set: run verify/run.sh, which sets it")
	}
	c := exec.CommandContext(t.Context(), filepath.Join(bin, "python"), "-c",
		"import json, sys; from cfnlint.decode.cfn_yaml import load; json.dump(load(sys.argv[1]), sys.stdout)", root+"/template.yaml")
	c.Stderr = t.Output()
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	var want any
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	check(t, "the template", texts(want), load(t).value)
}

// texts turns all scalars to text.
func texts(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			v[key] = texts(v[key])
		}
		return v
	case []any:
		for i := range v {
			v[i] = texts(v[i])
		}
		return v
	case float64:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprint(v)
}
