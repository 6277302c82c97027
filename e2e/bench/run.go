package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	fakeidp "evertoken/internal/fake/idp"
	fakelambda "evertoken/internal/fake/lambda"
	"evertoken/internal/issue"
)

// functionTimeout is that of template.yaml.
const functionTimeout = 240 * time.Second

// measured has the costs of one invocation.
type measured struct {
	report   issue.Report
	took     time.Duration // until the answer
	peak     int64         // resident memory, bytes
	answer   int           // bytes
	logs     int           // bytes
	calls    int           // to AWS
	writes   int           // of secrets, the throttled ones aside
	throttle int           // of them throttled
	long     int           // credentials and sessions decrypted
	// last is the time from the first call to the last published token; others is the
	// same for connections without a fault.
	last, others time.Duration
}

// function starts the function issue for a cloud.
func (b *bench) function(ctx context.Context, c *cloud) (*fakelambda.Function, error) {
	return fakelambda.Start(ctx, fakelambda.Options{
		Binary: b.issue, Name: "issue", Timeout: functionTimeout, MemoryMB: 256, Env: append(environment(c), "EVERTOKEN_ALLOW_LOOPBACK_HTTP=1"),
	})
}

func environment(c *cloud) []string {
	return []string{"AWS_ENDPOINT_URL=" + c.aws.URL(), "AWS_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID=bench", "AWS_SECRET_ACCESS_KEY=bench"}
}

// invoke runs the function once. apart says which connections others does not count.
func (b *bench) invoke(ctx context.Context, c *cloud, f *fakelambda.Function, writes float64,
	apart func(name string) bool) (measured, error) {
	c.begin(writes)
	r, err := f.Invoke(ctx, []byte(`{"source":"schedule"}`))
	c.end()
	switch {
	case err != nil:
		return measured{}, err
	case r.TimedOut:
		return measured{}, errors.New("the function ran into its timeout: answer and metrics are lost")
	case r.FunctionError != "":
		return measured{}, fmt.Errorf("the function failed: %s", r.ErrorMessage)
	}
	m := measured{took: r.Duration, peak: r.PeakRSS, answer: len(r.Payload), logs: len(r.Logs)}
	if err := json.Unmarshal(r.Payload, &m.report); err != nil {
		return measured{}, err
	}
	calls := c.aws.Calls()
	for _, call := range calls {
		m.calls++
		if call.Code == "ThrottlingException" {
			m.throttle++
			continue
		}
		since := call.Time.Sub(calls[0].Time)
		if call.Operation == "PutSecretValue" || call.Operation == "UpdateSecretVersionStage" {
			m.writes++
		}
		switch call.Operation {
		case "GetSecretValue", "BatchGetSecretValue":
			for id := range strings.SplitSeq(call.Resource, ",") {
				if strings.HasSuffix(id, "/credential") || strings.HasSuffix(id, "/session") {
					m.long++
				}
			}
		case "PutSecretValue":
			if connection, ok := strings.CutSuffix(strings.TrimPrefix(call.Resource, "evertoken/"), "/token"); ok {
				m.last = since
				if apart == nil || !apart(connection) {
					m.others = since
				}
			}
		}
	}
	return m, nil
}

// fleet is a scenario.
type fleet struct {
	n      int
	kind   kind
	age    time.Duration // of the tokens; negative for none
	hang   bool          // a tenth uses a provider that does not answer
	writes float64       // share of the write quota; 1 for all
	times  int           // repetitions
}

// due, idle and missing are ages of tokens that live an hour.
const (
	due     = 36 * time.Minute
	idle    = time.Minute
	missing = -1
)

// measure runs a scenario as often as it says.
func (b *bench) measure(ctx context.Context, s fleet) ([]measured, error) {
	var all []measured
	for range max(1, s.times) {
		m, err := b.once(ctx, s)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

func (b *bench) once(ctx context.Context, s fleet) (measured, error) {
	providers, at := 1, func(int) int { return 0 }
	var apart func(string) bool
	if s.hang {
		providers, at = 2, func(i int) int { return map[bool]int{true: 1}[i%10 == 0] }
		apart = func(name string) bool { return strings.HasSuffix(name, "0") }
	}
	c, err := newCloud(providers)
	if err != nil {
		return measured{}, err
	}
	defer c.close()
	if s.hang {
		c.providers[1].ClearFaults()
		c.providers[1].Inject(&fakeidp.Fault{Kind: fakeidp.Hang})
	}
	c.connect(s.n, s.kind, s.age, at)
	f, err := b.function(ctx, c)
	if err != nil {
		return measured{}, err
	}
	defer func() { _ = f.Close() }() // always nil
	return b.invoke(ctx, c, f, s.writes, apart)
}

// single measures single-use refresh tokens: the opening of n sessions from
// seeds, and then their renewal.
func (b *bench) single(ctx context.Context, n int) (opening, renewal measured, err error) {
	c, err := newCloud(1)
	if err != nil {
		return opening, renewal, err
	}
	defer c.close()
	c.connect(n, single, missing, func(int) int { return 0 })
	f, err := b.function(ctx, c)
	if err != nil {
		return opening, renewal, err
	}
	defer func() { _ = f.Close() }() // always nil
	if opening, err = b.invoke(ctx, c, f, 1, nil); err != nil || opening.report.Issued < n {
		return opening, renewal, err // one run cannot renew more than fits into it
	}
	if err := c.age(n, due); err != nil {
		return opening, renewal, err
	}
	renewal, err = b.invoke(ctx, c, f, 1, nil)
	return opening, renewal, err
}

// median is the middle measurement in the order of a key.
func median(all []measured, by func(measured) time.Duration) measured {
	slices.SortFunc(all, func(a, b measured) int { return int(by(a) - by(b)) })
	return all[len(all)/2]
}

func took(m measured) time.Duration { return m.took }
