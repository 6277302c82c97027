package simulate

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
)

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// fault is one way of breaking one call of a run.
type fault struct {
	name string
	// at is the call, counted from 0 over all calls of the run to that server.
	at     int
	inject func(w *fakeworld.World, at int, kill func(fakeaws.Call))
	// loses is set where an answer of the provider may be lost permanently: the process
	// dies, or the provider acts and does not answer.
	loses bool
	// unread is set where an answer cannot be read although the provider did not act: it
	// counts as lost.
	unread bool
	// operations are the only ones that can give the error; nil for any.
	operations []string
}

// deaths are the names of the two faults that end the process, in their order:
// before the call was carried out, and after.
var deaths = []string{"dead before", "dead after"}

// codesOf are the errors that only some operations give, by the service models
// of botocore (data/secretsmanager/2017-10-17 and data/ssm/2014-11-06,
// service-2.json, operations.*.errors).
var codesOf = map[string][]string{
	"ResourceNotFoundException": {"GetSecretValue", "BatchGetSecretValue", "DescribeSecret", "ListSecretVersionIds", "PutSecretValue", "UpdateSecretVersionStage"},
	"InvalidParameterException": {"GetSecretValue", "BatchGetSecretValue", "DescribeSecret", "ListSecretVersionIds", "PutSecretValue", "UpdateSecretVersionStage"},
	"InvalidRequestException":   {"GetSecretValue", "BatchGetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"},
	"ResourceExistsException":   {"PutSecretValue"},
	"ParameterNotFound":         {"GetParameter", "DeleteParameter"},
	"TooManyUpdates":            {"PutParameter"},
}

// refusal is a code given so many times (0: always) to the operations that can
// give it, from a call of the run on.
func refusal(name, code string, times int, operations []string) fault {
	return fault{name: name, operations: operations,
		inject: func(w *fakeworld.World, at int, _ func(fakeaws.Call)) {
			var seen atomic.Int64
			w.AWS.Inject(&fakeaws.Fault{Kind: fakeaws.Refuse, Code: code, Times: times,
				Match: func(c fakeaws.Call) bool {
					return seen.Add(1) > int64(at) && slices.Contains(operations, c.Operation)
				}})
		}}
}

// slowCall and slowAnswer are just below the times at which a call to AWS and an exchange
// end. The clock moves by them during the call.
const (
	slowCall   = 7 * time.Second
	slowAnswer = 19 * time.Second
)

// awsFaults are the ways in which a call to AWS can fail. The SDK's own retry overcomes a
// single fault; a long one outlasts it; dead means that the process ends there.
func awsFaults() []fault {
	var out []fault
	add := func(name string, kind fakeaws.FaultKind, code string, times int, loses bool) {
		out = append(out,
			fault{name: name, loses: loses,
				inject: func(w *fakeworld.World, at int, _ func(fakeaws.Call)) {
					w.AWS.Inject(&fakeaws.Fault{Kind: kind, Code: code, Skip: at, Times: times})
				}})
	}
	for _, code := range []string{"ThrottlingException", "InternalServiceError", "AccessDeniedException", "DecryptionFailure", "LimitExceededException"} {
		add("refuse "+code, fakeaws.Refuse, code, 3, false)
	}
	for _, code := range slices.Sorted(maps.Keys(codesOf)) {
		out = append(out, refusal("refuse "+code, code, 3, codesOf[code]))
	}
	out = append(out, refusal("no put any more", "AccessDeniedException", 0, []string{"PutSecretValue"}))
	add("fail after once", fakeaws.FailAfter, "InternalServiceError", 1, false)
	add("fail after long", fakeaws.FailAfter, "InternalServiceError", 3, false)
	add("drop before long", fakeaws.DropBefore, "", 3, false)
	add("drop after once", fakeaws.DropAfter, "", 1, false)
	add("drop after long", fakeaws.DropAfter, "", 3, false)
	add("stale", fakeaws.Stale, "", 1, false)
	// A run takes no time on the injected clock, so a state that is a millisecond old is the
	// one before the run: several reads in a row do not see what the run itself wrote.
	out = append(out,
		fault{name: "stale in a row",
			inject: func(w *fakeworld.World, at int, _ func(fakeaws.Call)) {
				w.AWS.Inject(&fakeaws.Fault{Kind: fakeaws.Stale, StaleBy: time.Millisecond, Skip: at, Times: 5})
			}})
	out = append(out, fault{name: "slow calls", inject: func(w *fakeworld.World, at int, _ func(fakeaws.Call)) {
		w.AWS.Inject(&fakeaws.Fault{Kind: fakeaws.OnlyHook, Skip: at, Times: 3,
			Hook: func(fakeaws.Call) { w.Clock.Advance(slowCall) }})
	}})
	add("aws gone for the rest of the run", fakeaws.DropBefore, "", 0, true)
	for i, kind := range []fakeaws.FaultKind{fakeaws.DropBefore, fakeaws.DropAfter} {
		out = append(out,
			fault{name: deaths[i], loses: true,
				inject: func(w *fakeworld.World, at int, kill func(fakeaws.Call)) {
					w.AWS.Inject(&fakeaws.Fault{Kind: kind, Skip: at, Times: 1, Hook: kill})
				}})
	}
	return out
}

// idpFault disturbs so many calls to the provider, 0 for all.
func idpFault(f fakeidp.Fault, times int) func(*fakeworld.World, int, func(fakeaws.Call)) {
	return func(w *fakeworld.World, at int, _ func(fakeaws.Call)) {
		f := f
		f.Skip, f.Times = at, times
		w.IDP.Inject(&f)
	}
}

// idpFaults are the ways in which a call to the provider can fail.
func idpFaults() []fault {
	var out []fault
	add := func(name string, f fakeidp.Fault, loses bool) {
		out = append(out, fault{name: name, loses: loses, inject: idpFault(f, 1)})
	}
	for _, status := range []int{429, 500, 503} {
		add(fmt.Sprint("answer ", status),
			fakeidp.Fault{Kind: fakeidp.Answer, Status: status,
				Header: http.Header{"Retry-After": {"30"}}}, false)
	}
	add("answer 504 after", fakeidp.Fault{Kind: fakeidp.AnswerAfter, Status: 504}, true)
	add("drop before", fakeidp.Fault{Kind: fakeidp.DropBefore}, true)
	add("drop after", fakeidp.Fault{Kind: fakeidp.DropAfter}, true)
	add("truncate", fakeidp.Fault{Kind: fakeidp.Truncate}, true)
	add("cut off", fakeidp.Fault{Kind: fakeidp.CutOff}, true)
	add("html", fakeidp.Fault{Kind: fakeidp.HTML}, false)
	out[len(out)-1].unread = true
	add("redirect", fakeidp.Fault{Kind: fakeidp.Redirect}, false)
	add("huge", fakeidp.Fault{Kind: fakeidp.Huge}, true)
	out = append(out, fault{name: "slow answer", inject: func(w *fakeworld.World, at int, _ func(fakeaws.Call)) {
		w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.OnlyHook, Skip: at, Times: 1,
			Hook: func(fakeidp.Request) { w.Clock.Advance(slowAnswer) }})
	}})
	for i, kind := range []fakeidp.FaultKind{fakeidp.DropBefore, fakeidp.DropAfter} {
		out = append(out,
			fault{name: deaths[i], loses: true,
				inject: func(w *fakeworld.World, at int, kill func(fakeaws.Call)) {
					w.IDP.Inject(&fakeidp.Fault{Kind: kind, Skip: at, Times: 1,
						Hook: func(fakeidp.Request) { kill(fakeaws.Call{}) }})
				}})
	}
	return out
}

// broken makes one run with faults. A killed run reaches no server any more; publishing
// reports that it was killed when it published a token.
func broken(w *fakeworld.World, faults []fault) (report issue.Report, publishing bool) {
	ctx, cancel := context.WithTimeout(context.Background(), w.RunTimeout)
	defer cancel()
	var once sync.Once
	kill := func(c fakeaws.Call) {
		once.Do(func() {
			publishing = c.Operation == "PutSecretValue" &&
				strings.HasSuffix(c.Resource, "/token") || c.Resource == tokenParameter(subject)
			w.AWS.Inject(&fakeaws.Fault{Kind: fakeaws.DropBefore})
			w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropBefore})
			cancel()
		})
	}
	for _, f := range faults {
		f.inject(w, f.at, kill)
	}
	var err error
	report, err = w.Runner().Run(ctx, issue.Event{})
	w.AWS.ClearFaults()
	w.IDP.ClearFaults()
	if err != nil {
		fmt.Fprintln(w.Log, err)
	}
	fmt.Fprintf(w.Log, "%+v\n", report)
	return report, publishing
}

// calls returns the operations of a clean run's calls to AWS, and how many it
// makes to the provider.
func calls(t fakeworld.TB, s scenario) (aws []string, idp int) {
	w := fakeworld.New(t)
	strict(w)
	s.arrange(w)
	w.AWS.ResetCalls()
	w.IDP.ResetRequests()
	broken(w, nil)
	for _, c := range w.AWS.Calls() {
		aws = append(aws, c.Operation)
	}
	return aws, len(w.IDP.Requests())
}

// try makes one run of a scenario for each list of faults, a heartbeat apart,
// and returns what was violated, and what the runs printed.
func try(t fakeworld.TB, s scenario, runs ...[]fault) (problems []string, output string) {
	w := fakeworld.New(t)
	strict(w)
	s.arrange(w)
	x := &watcher{w: w, s: s, name: subject}
	tally.Lock()
	tally.worlds++
	tally.Unlock()
	for i, faults := range runs {
		if i > 0 {
			w.Clock.Advance(w.Config.Every)
		}
		_, publishing := broken(w, faults)
		for _, f := range faults {
			// A run that dies while it publishes has stored the session before.
			if f.loses && (!publishing || len(faults) > 1) {
				x.loses++
			}
			x.unread = x.unread || f.loses || f.unread
		}
		reached(w, subject, len(faults))
		x.stored() // at once: later a stronger grant may have made good for a loss
		x.look()
	}
	x.recover()
	return x.problems, w.Log.String()
}

// soak reports whether the long version of the search was requested.
func soak() bool { return os.Getenv("EVERTOKEN_SOAK") != "" }

// telling has one fault of each kind; the long version has the others too.
var telling = []string{
	"refuse AccessDeniedException", "no put any more", "drop after long", "dead before", "dead after", "aws gone for the rest of the run",
	"answer 503", "drop after", "truncate", "html", "stale in a row", "slow answer",
}

// mostTelling are the faults for variants of a scenario that is tested with telling.
var mostTelling = []string{"drop after long", "dead after", "drop after", "aws gone for the rest of the run"}

func (s scenario) telling() []string {
	if s.variant {
		return mostTelling
	}
	return telling
}

// TestEveryFaultOfEveryCallIsRepaired breaks every call of every scenario, one at a time:
// in every way with EVERTOKEN_SOAK set, otherwise in the ways of telling.
func TestEveryFaultOfEveryCallIsRepaired(t *testing.T) {
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			operations, nIDP := calls(t, s)
			tried := 0
			for _, group := range []struct {
				server string
				n      int
				faults []fault
			}{{"aws", len(operations), awsFaults()}, {"idp", nIDP, idpFaults()}} {
				for at := range group.n {
					for _, f := range group.faults {
						if !soak() && !slices.Contains(s.telling(), f.name) {
							continue
						}
						if f.operations != nil && !slices.Contains(f.operations, operations[at]) {
							continue
						}
						f.at = at
						name := fmt.Sprintf("%s %d %s", group.server, at, f.name)
						t.Run(name, func(t *testing.T) {
							problems, output := try(t, s, []fault{f})
							for _, p := range problems {
								t.Error(p)
							}
							if len(problems) > 0 {
								t.Logf("output:\n%.6000s", output)
							}
						})
						tried++
					}
				}
			}
			t.Logf("%d faults tried: %d calls to AWS, %d to the provider", tried, len(operations), nIDP)
		})
	}
}
