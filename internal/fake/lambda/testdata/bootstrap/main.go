// Command bootstrap is a Lambda function that does what its event names, so
// that the tests of package fakelambda see every way an invocation can end.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Do   string `json:"do"`
	Text string `json:"text"`
}

type answer struct {
	Text        string   `json:"text"`
	PID         int      `json:"pid"`
	RequestID   string   `json:"request_id"`
	FunctionARN string   `json:"function_arn"`
	DeadlineIn  float64  `json:"deadline_in"`
	Env         []string `json:"env"`
	WorkDir     string   `json:"work_dir"`
}

// RefusedError is a named error type: Lambda reports its name.
type RefusedError struct{ why string }

func (e *RefusedError) Error() string { return "refused: " + e.why }

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, &RefusedError{why: "broken"} }

func main() {
	switch os.Getenv("INIT") {
	case "error":
		postInitError()
		fmt.Println("init failed")
		os.Exit(1)
	case "exit":
		os.Exit(3)
	case "error and hang":
		postInitError()
		time.Sleep(time.Hour)
	case "hang":
		time.Sleep(time.Hour)
	}
	lambda.Start(handle)
}

func handle(ctx context.Context, e event) (any, error) {
	fmt.Println("handling " + e.Do)
	switch e.Do {
	case "answer":
		return describe(ctx, e.Text)
	case "log":
		fmt.Println("to stdout " + e.Text)
		fmt.Fprintln(os.Stderr, "to stderr "+e.Text)
		return "logged", nil
	case "plain error":
		return nil, errors.New(e.Text)
	case "named error":
		return nil, &RefusedError{why: e.Text}
	case "panic":
		panic(e.Text)
	case "hang":
		time.Sleep(time.Hour)
	case "exit 0":
		os.Exit(0)
	case "exit 7":
		os.Exit(7)
	case "get":
		return "got", get(ctx, e.Text)
	case "big":
		return strings.Repeat("x", 7<<20), nil
	case "broken stream":
		return io.MultiReader(strings.NewReader("half of"), brokenReader{}), nil
	case "answer twice":
		return answerTwice(ctx)
	}
	return nil, fmt.Errorf("unknown event %q", e.Do)
}

func describe(ctx context.Context, text string) (answer, error) {
	lc, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	dir, err := os.Getwd()
	if err != nil {
		return answer{}, err
	}
	return answer{
		Text:        text,
		PID:         os.Getpid(),
		RequestID:   lc.AwsRequestID,
		FunctionARN: lc.InvokedFunctionArn,
		DeadlineIn:  time.Until(deadline).Seconds(),
		Env:         os.Environ(),
		WorkDir:     dir,
	}, nil
}

// get sends a request to the test's own server, which answers when the function may
// continue.
func get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// answerTwice posts a response itself; the one that the runtime then posts is
// the second.
func answerTwice(ctx context.Context) (string, error) {
	lc, _ := lambdacontext.FromContext(ctx)
	for _, id := range []string{"no-such-request", lc.AwsRequestID, lc.AwsRequestID} {
		status, err := post("/runtime/invocation/"+id+"/response", `"by hand"`)
		if err != nil {
			return "", err
		}
		fmt.Printf("status %d\n", status)
	}
	return "by the runtime", nil
}

func postInitError() {
	body := `{"errorType":"Function.NoConfig","errorMessage":"no configuration"}`
	if _, err := post("/runtime/init/error", body); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func post(path, body string) (int, error) {
	url := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01" + path
	resp, err := http.Post(url, "application/json", bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, errors.Join(err, resp.Body.Close())
}
