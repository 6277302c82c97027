package fakelambda

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// bootstrap is the built testdata/bootstrap.
var bootstrap string

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "fakelambda-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	bootstrap = filepath.Join(dir, "greeter", "bootstrap")
	build := exec.CommandContext(context.Background(), "go", "build", "-tags", "lambda.norpc", "-o",
		bootstrap, "./testdata/bootstrap")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building testdata/bootstrap: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// start starts a function; the timeout is ample unless the test says otherwise.
func start(t *testing.T, o Options) *Function {
	t.Helper()
	o.Binary = bootstrap
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	f, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func event(t *testing.T, do, text string) []byte {
	t.Helper()
	payload, err := json.Marshal(map[string]string{"do": do, "text": text})
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func invoke(t *testing.T, f *Function, do, text string) Result {
	t.Helper()
	result, err := f.Invoke(t.Context(), event(t, do, text))
	if err != nil {
		t.Fatalf("Invoke(%s): %v", do, err)
	}
	return result
}

// described is the function's description of itself.
type described struct {
	Text        string   `json:"text"`
	PID         int      `json:"pid"`
	RequestID   string   `json:"request_id"`
	FunctionARN string   `json:"function_arn"`
	DeadlineIn  float64  `json:"deadline_in"`
	Env         []string `json:"env"`
	WorkDir     string   `json:"work_dir"`
}

func describe(t *testing.T, f *Function, text string) (described, Result) {
	t.Helper()
	result := invoke(t, f, "answer", text)
	var d described
	if err := json.Unmarshal(result.Payload, &d); err != nil {
		t.Fatalf("payload %s: %v", result.Payload, err)
	}
	return d, result
}
