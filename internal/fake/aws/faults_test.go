package fakeaws_test

import (
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	fakeaws "evertoken/internal/fake/aws"
)

// TestEachKindOfFaultAnswersAndAppliesAsItSays puts v2 over v1 under one fault and checks
// what the server answered and applied.
func TestEachKindOfFaultAnswersAndAppliesAsItSays(t *testing.T) {
	t.Parallel()
	const without, with = "v1:AWSCURRENT", "v1:AWSPREVIOUS v2:AWSCURRENT"
	tests := map[string]struct {
		fault                *fakeaws.Fault
		code, recorded, want string
		status               int
	}{
		"refuse":         {&fakeaws.Fault{Kind: fakeaws.Refuse, Code: "ThrottlingException"}, "ThrottlingException", "ThrottlingException", without, 400},
		"service error":  {&fakeaws.Fault{Kind: fakeaws.Refuse, Code: "InternalServiceError"}, "InternalServiceError", "InternalServiceError", without, 500},
		"fail after":     {&fakeaws.Fault{Kind: fakeaws.FailAfter, Code: "InternalServiceError"}, "InternalServiceError", "InternalServiceError", with, 500},
		"drop before":    {&fakeaws.Fault{Kind: fakeaws.DropBefore}, "no answer", fakeaws.CodeConnectionClosed, without, 0},
		"drop after":     {&fakeaws.Fault{Kind: fakeaws.DropAfter}, "no answer", fakeaws.CodeConnectionClosed, with, 0},
		"stale write":    {&fakeaws.Fault{Kind: fakeaws.Stale}, "", "", with, 0},
		"only hook":      {&fakeaws.Fault{Kind: fakeaws.OnlyHook}, "", "", with, 0},
		"other secret":   {&fakeaws.Fault{Resource: "other", Code: "ThrottlingException"}, "", "", with, 0},
		"other request":  {&fakeaws.Fault{Operation: "GetSecretValue", Code: "ThrottlingException"}, "", "", with, 0},
		"this request":   {&fakeaws.Fault{Operation: "PutSecretValue", Resource: "s", Code: "AccessDeniedException"}, "AccessDeniedException", "AccessDeniedException", without, 400},
		"condition":      {&fakeaws.Fault{Code: "ThrottlingException", Match: func(c fakeaws.Call) bool { return c.Client == "nobody" }}, "", "", with, 0},
		"condition kept": {&fakeaws.Fault{Code: "DecryptionFailure", Match: func(c fakeaws.Call) bool { return c.Resource == "s" }}, "DecryptionFailure", "DecryptionFailure", without, 400},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, fakeaws.Options{})
			w.empty("s")
			if err := w.put(t.Context(), "s", "v1", "1"); err != nil {
				t.Fatal(err)
			}
			seen := make(chan string, 1)
			test.fault.Hook = func(fakeaws.Call) { seen <- w.labels("s") }
			w.Inject(test.fault)
			err := w.put(t.Context(), "s", "v2", "2")
			check(t, "code", test.code, code(err))
			check(t, "labels", test.want, w.labels("s"))
			check(t, "recorded", test.recorded, w.Calls()[1].Code)
			var response *awshttp.ResponseError
			if test.status != 0 && (!errors.As(err, &response) || response.HTTPStatusCode() != test.status) {
				t.Errorf("got %v, want HTTP %d", err, test.status)
			}
			want := without // the state that the hook sees
			switch {
			case test.fault.Fired() == 0:
				check(t, "hooks called", 0, len(seen))
				return
			case test.fault.Kind == fakeaws.FailAfter || test.fault.Kind == fakeaws.DropAfter:
				want = with
			}
			check(t, "labels at the hook", want, <-seen)
		})
	}
}

func TestAFaultSkipsAndCountsItsCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	w.CreateSecret("s", aws.String("x"), nil)
	first := &fakeaws.Fault{Skip: 1, Times: 2, Code: "ThrottlingException"}
	second := &fakeaws.Fault{Skip: 1, Code: "InternalServiceError"}
	var hooks atomic.Int32
	w.Inject(&fakeaws.Fault{Kind: fakeaws.OnlyHook, Hook: func(fakeaws.Call) { hooks.Add(1) }})
	w.Inject(first)
	w.Inject(second)
	var got []string
	for range 5 {
		got = append(got, w.get(t.Context(), "s", "AWSCURRENT"))
	}
	check(t, "answers",
		[]string{"x", "ThrottlingException", "ThrottlingException", "InternalServiceError",
			"InternalServiceError"}, got)
	check(t, "fired", []int{2, 2, 5}, []int{first.Fired(), second.Fired(), int(hooks.Load())})
	w.ClearFaults()
	check(t, "cleared", "x", w.get(t.Context(), "s", "AWSCURRENT"))
}

func TestAStaleReadReturnsAnOlderState(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	w.empty("s")
	w.CreateSecret("untouched", aws.String("old"), nil)
	ctx := t.Context()
	for _, version := range []string{"v1", "v2", "v3"} {
		w.clock.Advance(time.Minute)
		if err := w.put(ctx, "s", version, "value of "+version); err != nil {
			t.Fatal(err)
		}
	}
	read := func(f *fakeaws.Fault, secret string) string {
		w.ClearFaults()
		f.Kind = fakeaws.Stale
		w.Inject(f)
		return w.get(ctx, secret, "AWSCURRENT")
	}
	check(t, "before the last write", "value of v2", read(&fakeaws.Fault{}, "s"))
	check(t, "a minute ago", "value of v2", read(&fakeaws.Fault{StaleBy: time.Minute}, "s"))
	check(t, "another secret's", "value of v3", read(&fakeaws.Fault{Resource: "untouched"}, "s"))
	check(t, "two minutes ago", "value of v1",
		read(&fakeaws.Fault{StaleBy: 2 * time.Minute, Resource: "s"}, "s"))
	check(t, "before the first value", "ResourceNotFoundException",
		read(&fakeaws.Fault{StaleBy: time.Hour}, "s"))
	check(t, "made by set-up", "old", read(&fakeaws.Fault{}, "untouched"))
	check(t, "a write is made on the live state", "", code(w.put(ctx, "s", "v4", "value of v4")))
	w.ClearFaults()
	check(t, "live", "value of v4", w.get(ctx, "s", "AWSCURRENT"))

	if err := w.putParameter(ctx, ssm.PutParameterInput{Name: aws.String("/a/p"), Type: "String", Value: aws.String("x")}); err != nil {
		t.Fatal(err)
	}
	w.Inject(&fakeaws.Fault{Kind: fakeaws.Stale, Operation: "GetParametersByPath", Resource: "/a"})
	out, err := w.ssm.GetParametersByPath(ctx, &ssm.GetParametersByPathInput{Path: aws.String("/a")})
	if err != nil {
		t.Fatal(err)
	}
	check(t, "a parameter just written", 0, len(out.Parameters))
}

// TestOnlyTheLatestStatesAreKeptForStaleReads writes more often than the server keeps
// states.
func TestOnlyTheLatestStatesAreKeptForStaleReads(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	for i := range 300 {
		in := ssm.PutParameterInput{Name: aws.String("/p"), Type: "String",
			Value: aws.String(strconv.Itoa(i)), Overwrite: aws.Bool(true)}
		if err := w.putParameter(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(time.Second)
	}
	w.Inject(&fakeaws.Fault{Kind: fakeaws.Stale, StaleBy: time.Hour})
	out, err := w.ssm.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/p")})
	if err != nil {
		t.Fatal(err)
	}
	check(t, "oldest state kept", "44", *out.Parameter.Value)
}

// TestAHookDelaysItsOwnRequestAlone stops a request inside its hook while another one passes.
func TestAHookDelaysItsOwnRequestAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	w.empty("s")
	held, release := make(chan struct{}), make(chan struct{})
	w.Inject(&fakeaws.Fault{Kind: fakeaws.OnlyHook, Times: 1,
		Hook: func(fakeaws.Call) { close(held); <-release }})
	first := make(chan error)
	go func() { first <- w.put(t.Context(), "s", "v1", "1") }()
	<-held
	check(t, "second", "", code(w.put(t.Context(), "s", "v2", "2")))
	close(release)
	check(t, "first", "", code(<-first))
	check(t, "labels", "v2:AWSPREVIOUS v1:AWSCURRENT", w.labels("s"))
}

// TestTheSDKsRetryOfAPutChangesNothing proves that the SDK's own retries survive a dropped answer:
// the put is repeated with its token and changes nothing the second time.
func TestTheSDKsRetryOfAPutChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fakeaws.Options{})
	w.empty("s")
	w.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Kind: fakeaws.DropAfter, Times: 1})
	config := w.AWSConfig()
	config.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) {
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		})
	}
	_, err := secretsmanager.NewFromConfig(config).PutSecretValue(t.Context(),
		&secretsmanager.PutSecretValueInput{
			SecretId: aws.String("s"), ClientRequestToken: id("v1"), SecretString: aws.String("1"),
		})
	check(t, "code", "", code(err))
	check(t, "labels", "v1:AWSCURRENT", w.labels("s"))
	check(t, "requests", 2, len(w.Calls()))
}
