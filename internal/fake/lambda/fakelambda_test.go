package fakelambda

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOneProcessAnswersOneInvocationAfterAnother(t *testing.T) {
	t.Parallel()
	f := start(t, Options{Env: []string{"COLOUR=blue", "AWS_REGION=eu-west-1"}})

	first, cold := describe(t, f, "hello")
	second, warm := describe(t, f, "again")

	if first.Text != "hello" || second.Text != "again" {
		t.Errorf("texts are %q and %q", first.Text, second.Text)
	}
	if first.PID != second.PID {
		t.Errorf("the second invocation got process %d, the first %d", second.PID, first.PID)
	}
	if first.RequestID == second.RequestID || len(first.RequestID) != 36 {
		t.Errorf("request ids are %q and %q", first.RequestID, second.RequestID)
	}
	if want := "arn:aws:lambda:eu-west-1:123456789012:function:greeter"; first.FunctionARN != want || f.ARN() != want {
		t.Errorf("ARN is %s to the function and %s outside, want %s", first.FunctionARN, f.ARN(), want)
	}
	if first.DeadlineIn < 50 || first.DeadlineIn > 60 {
		t.Errorf("the deadline is in %v s, want just under 60", first.DeadlineIn)
	}
	if cold.InitDuration <= 0 || warm.InitDuration != 0 {
		t.Errorf("InitDuration is %v cold and %v warm", cold.InitDuration, warm.InitDuration)
	}
	if cold.Duration <= 0 || cold.FunctionError != "" || cold.Exited || cold.TimedOut {
		t.Errorf("result is %+v", cold)
	}
	if rss := cold.PeakRSS; rss < 1<<20 || rss > 1<<30 {
		t.Errorf("PeakRSS is %d bytes", rss)
	}
}

func TestEnvironmentIsLambdasAndTheOptions(t *testing.T) {
	t.Parallel()
	f := start(t,
		Options{Name: "named", MemoryMB: 256,
			Env: []string{"COLOUR=blue", "AWS_LAMBDA_LOG_FORMAT=Text"}})

	d, _ := describe(t, f, "")

	got := map[string]string{}
	for _, kv := range d.Env {
		key, value, _ := strings.Cut(kv, "=")
		got[key] = value
	}
	for _, key := range []string{"AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_LOG_STREAM_NAME", "_X_AMZN_TRACE_ID"} {
		if got[key] == "" {
			t.Errorf("%s is empty", key)
		}
		delete(got, key)
	}
	dir := filepath.Dir(bootstrap)
	want := map[string]string{
		"_HANDLER":                        "bootstrap",
		"AWS_DEFAULT_REGION":              "us-east-1",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
		"AWS_LAMBDA_FUNCTION_NAME":        "named",
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_FORMAT":           "Text",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/named",
		"AWS_REGION":                      "us-east-1",
		"COLOUR":                          "blue",
		"LAMBDA_TASK_ROOT":                dir,
		"LANG":                            "en_US.UTF-8",
		"PATH":                            "/usr/local/bin:/usr/bin:/bin",
		"PWD":                             dir,
		"TZ":                              ":UTC",
	}
	delete(got, "PWD") // os/exec sets it where it can
	delete(want, "PWD")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if d.WorkDir != dir {
		t.Errorf("working directory is %s, want %s", d.WorkDir, dir)
	}
}

func TestAFailedInvocationIsReportedAsByLambda(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		do, text string
		want     Result
		next     bool // whether the same process answers the next event
	}{
		"a returned error": {
			do: "plain error", text: "no luck",
			want: Result{ErrorType: "errorString", ErrorMessage: "no luck"},
			next: true,
		},
		"an error of a named type": {
			do: "named error", text: "no luck",
			want: Result{ErrorType: "RefusedError", ErrorMessage: "refused: no luck"},
			next: true,
		},
		"a response that breaks off": {
			do:   "broken stream",
			want: Result{ErrorType: "RefusedError", ErrorMessage: "refused: broken"},
			next: true,
		},
		"a panic": {
			do: "panic", text: "oh",
			want: Result{ErrorType: "string", ErrorMessage: "oh", Exited: true},
		},
		"an exit with status 0": {
			do:   "exit 0",
			want: Result{ErrorType: ErrorTypeExit, ErrorMessage: "RequestId: ID Error: Runtime exited without providing a reason", Exited: true},
		},
		"an exit with another status": {
			do:   "exit 7",
			want: Result{ErrorType: ErrorTypeExit, ErrorMessage: "RequestId: ID Error: Runtime exited with error: exit status 7", Exited: true},
		},
		"an answer of 7 MiB": {
			do:   "big",
			want: Result{ErrorType: ErrorTypeResponseSize, ErrorMessage: "Response payload size exceeded maximum allowed payload size (6291556 bytes).", Exited: true},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, Options{})
			before, _ := describe(t, f, "")

			result := invoke(t, f, test.do, test.text)

			checkFailure(t, test.want, result)
			var payload struct{ ErrorType, ErrorMessage string }
			if err := json.Unmarshal(result.Payload, &payload); err != nil ||
				payload.ErrorType != result.ErrorType ||
				payload.ErrorMessage != result.ErrorMessage {
				t.Errorf("payload is %s (%v)", result.Payload, err)
			}
			after, _ := describe(t, f, "")
			if same := before.PID == after.PID; same != test.next {
				t.Errorf("same process afterwards: %v, want %v", same, test.next)
			}
		})
	}
}

// withoutID replaces the request id of Lambda's own messages.
func withoutID(message string) string {
	rest, found := strings.CutPrefix(message, "RequestId: ")
	if !found {
		return message
	}
	id, rest, _ := strings.Cut(rest, " ")
	if len(id) != 36 {
		return message
	}
	return "RequestId: ID " + rest
}

// checkFailure compares the error of a failed invocation, and how its process ended.
func checkFailure(t *testing.T, want, result Result) {
	t.Helper()
	got := Result{
		ErrorType:    result.ErrorType,
		ErrorMessage: withoutID(result.ErrorMessage),
		Exited:       result.Exited,
		TimedOut:     result.TimedOut,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if result.FunctionError != "Unhandled" {
		t.Errorf("FunctionError is %q", result.FunctionError)
	}
}

func TestTimeoutKillsTheProcess(t *testing.T) {
	t.Parallel()
	f := start(t, Options{Timeout: 250 * time.Millisecond})

	result := invoke(t, f, "hang", "")

	if !result.TimedOut || result.Exited || result.FunctionError != "Unhandled" ||
		result.ErrorType != ErrorTypeTimeout {
		t.Errorf("result is %+v", result)
	}
	if got, want := withoutID(result.ErrorMessage), "RequestId: ID Error: Task timed out after 0.25 seconds"; got != want {
		t.Errorf("message is %q, want %q", got, want)
	}
	if result.Duration < 250*time.Millisecond {
		t.Errorf("killed after %v", result.Duration)
	}
	if !strings.Contains(string(result.Logs), "handling hang") {
		t.Errorf("logs are %q", result.Logs)
	}
	if result.PeakRSS == 0 {
		t.Error("PeakRSS of the process killed is zero")
	}
	if live := len(f.live); live != 0 {
		t.Errorf("%d processes still run", live)
	}
}

func TestAFailedStartIsReportedAsByLambda(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		init    string
		timeout time.Duration
		want    Result
		logs    string
	}{
		"init error": {
			init: "error",
			want: Result{ErrorType: "Function.NoConfig", ErrorMessage: "no configuration", Exited: true},
			logs: "init failed\n",
		},
		"init error of a process that stays": {
			init: "error and hang", timeout: 500 * time.Millisecond,
			want: Result{ErrorType: "Function.NoConfig", ErrorMessage: "no configuration", Exited: true},
		},
		"exit": {
			init: "exit",
			want: Result{ErrorType: ErrorTypeExit, ErrorMessage: "RequestId: ID Error: Runtime exited with error: exit status 3", Exited: true},
		},
		"hang": {
			init: "hang", timeout: 250 * time.Millisecond,
			want: Result{ErrorType: ErrorTypeTimeout, ErrorMessage: "RequestId: ID Error: Task timed out after 0.25 seconds", TimedOut: true},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.timeout == 0 {
				test.timeout = time.Minute
			}
			f := start(t, Options{Env: []string{"INIT=" + test.init}, InitTimeout: test.timeout})

			result := invoke(t, f, "answer", "")

			checkFailure(t, test.want, result)
			if got := string(result.Logs); got != test.logs {
				t.Errorf("logs are %q, want %q", got, test.logs)
			}
		})
	}
}

func TestLogsAreThoseOfTheInvocation(t *testing.T) {
	t.Parallel()
	f := start(t, Options{})
	for _, text := range []string{"one", "two"} {
		want := "handling log\nto stdout " + text + "\nto stderr " + text + "\n"
		if got := string(invoke(t, f, "log", text).Logs); got != want {
			t.Errorf("logs of %s are %q, want %q", text, got, want)
		}
	}
	f.Kill()
	invoke(t, f, "log", "three")
	_ = f.Close()

	all := string(f.Logs())
	for _, text := range []string{"one", "two", "three"} {
		if got := strings.Count(all, "to stdout "+text+"\n"); got != 1 {
			t.Errorf("%q is in all logs %d times", text, got)
		}
	}
}

func TestWritersReceiveTheirStream(t *testing.T) {
	t.Parallel()
	var stdout strings.Builder
	f := start(t, Options{Stdout: &stdout})
	result := invoke(t, f, "log", "x")
	_ = f.Close() // the copying ends with the process

	if got, want := stdout.String(), "handling log\nto stdout x\n"; got != want {
		t.Errorf("Stdout received %q, want %q", got, want)
	}
	if got, want := string(result.Logs), "to stderr x\n"; got != want {
		t.Errorf("Logs are %q, want %q", got, want)
	}
}

func TestTheRuntimeAPIRefusesARequestOutOfTurn(t *testing.T) {
	t.Parallel()
	f := start(t, Options{})

	result := invoke(t, f, "answer twice", "")

	if got, want := string(result.Payload), `"by hand"`; got != want {
		t.Errorf("payload is %s, want %s: the first answer counts", got, want)
	}
	if got, want := string(result.Logs), "status 400\nstatus 202\nstatus 403\n"; !strings.Contains(got, want) {
		t.Errorf("logs are %q, want %q in them", got, want)
	}
}

func TestAWrongOptionIsRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	plain := filepath.Join(t.TempDir(), "bootstrap")
	if err := os.WriteFile(plain, []byte("not executable"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		o    Options
		want string
	}{
		"no file":                        {Options{Binary: plain + "-missing"}, "no such file"},
		"a file that is not executable":  {Options{Binary: plain}, "is not executable"},
		"a folder":                       {Options{Binary: filepath.Dir(plain)}, "is not executable"},
		"a negative timeout":             {Options{Binary: bootstrap, Timeout: -1}, "negative"},
		"two processes behind one port":  {Options{Binary: bootstrap, Concurrency: 2, Addr: "127.0.0.1:9001"}, "fixed port"},
		"a negative number of processes": {Options{Binary: bootstrap, Concurrency: -1}, "negative"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Start(t.Context(), test.o)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q in it", err, test.want)
			}
		})
	}
}
