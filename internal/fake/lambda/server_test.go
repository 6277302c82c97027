package fakelambda

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func serve(t *testing.T, f *Function) *Server {
	t.Helper()
	s, err := NewServer("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	s.Add("greeter", f)
	return s
}

// reply is what an invocation by HTTP is answered.
type reply struct {
	status int
	header http.Header
	body   string
}

func post(t *testing.T, s *Server, name, body string, header map[string]string) reply {
	t.Helper()
	target := s.URL() + "/2015-03-31/functions/" + url.PathEscape(name) + "/invocations"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range header {
		req.Header.Set(key, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(got)}
}

func TestTheServerInvokesAsTheAPIDoes(t *testing.T) {
	t.Parallel()
	s := serve(t, start(t, Options{}))
	const logEvent = `{"do":"log"}`
	tests := map[string]struct {
		name, body    string
		header        map[string]string
		status        int
		want          string
		functionError string
		errorType     string
	}{
		"by name":             {name: "greeter", body: logEvent, status: 200, want: `"logged"`},
		"by ARN":              {name: "arn:aws:lambda:us-east-1:123456789012:function:greeter", body: logEvent, status: 200, want: `"logged"`},
		"by ARN with version": {name: "arn:aws:lambda:us-east-1:123456789012:function:greeter:live", body: logEvent, status: 200, want: `"logged"`},
		"by partial ARN":      {name: "123456789012:function:greeter", body: logEvent, status: 200, want: `"logged"`},
		"asynchronously":      {name: "greeter", body: logEvent, header: map[string]string{"X-Amz-Invocation-Type": "Event"}, status: 202},
		"not at all":          {name: "greeter", body: logEvent, header: map[string]string{"X-Amz-Invocation-Type": "DryRun"}, status: 204},
		"with no payload": {
			name: "greeter", status: 200, functionError: "Unhandled",
			want: `{"errorMessage":"unknown event \"\"","errorType":"errorString"}`,
		},
		"a handler that fails": {
			name: "greeter", body: `{"do":"plain error","text":"no luck"}`, status: 200, functionError: "Unhandled",
			want: `{"errorMessage":"no luck","errorType":"errorString"}`,
		},
		"an unknown function": {
			name: "stranger", body: logEvent, status: 404, errorType: "ResourceNotFoundException",
			want: `{"Message":"Function not found: stranger","Type":"User"}`,
		},
		"with a broken payload": {
			name: "greeter", body: "{", status: 400, errorType: "InvalidRequestContentException",
			want: `{"Message":"Could not parse request body into json","Type":"User"}`,
		},
		"in an unknown way": {
			name: "greeter", body: logEvent, header: map[string]string{"X-Amz-Invocation-Type": "Soon"}, status: 400, errorType: "InvalidParameterValueException",
			want: `{"Message":"unknown invocation type Soon","Type":"User"}`,
		},
		"with more than 6 MiB": {
			name: "greeter", body: `"` + strings.Repeat("x", 6<<20) + `"`, status: 413, errorType: "RequestTooLargeException",
			want: `{"Message":"Request must be smaller than 6291456 bytes for the InvokeFunction operation","Type":"User"}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := post(t, s, test.name, test.body, test.header)
			if got.status != test.status {
				t.Errorf("status is %d, want %d", got.status, test.status)
			}
			if diff := cmp.Diff(test.want, got.body); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			if got := got.header.Get("X-Amz-Function-Error"); got != test.functionError {
				t.Errorf("X-Amz-Function-Error is %q, want %q", got, test.functionError)
			}
			if got := got.header.Get("X-Amzn-ErrorType"); got != test.errorType {
				t.Errorf("X-Amzn-ErrorType is %q, want %q", got, test.errorType)
			}
		})
	}
}

func TestServerReturnsTheLogTail(t *testing.T) {
	t.Parallel()
	s := serve(t, start(t, Options{}))

	got := post(t, s, "greeter", `{"do":"log","text":"`+strings.Repeat("x", 5000)+`"}`,
		map[string]string{"X-Amz-Log-Type": "Tail"})

	tail, err := base64.StdEncoding.DecodeString(got.header.Get("X-Amz-Log-Result"))
	if err != nil || len(tail) != 4096 || !strings.HasSuffix(string(tail), "x\n") {
		t.Errorf("the log result is %d bytes, %v", len(tail), err)
	}
}

func TestServerFinishesAsynchronousInvocations(t *testing.T) {
	t.Parallel()
	f := start(t, Options{})
	s := serve(t, f)
	post(t, s, "greeter", `{"do":"log","text":"later"}`, map[string]string{"X-Amz-Invocation-Type": "Event"})

	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := string(f.Logs()); !strings.Contains(got, "to stdout later") {
		t.Errorf("logs after Close are %q", got)
	}
}
