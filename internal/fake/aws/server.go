package fakeaws

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// CodeConnectionClosed is the Code of a Call that a fault left without answer.
const CodeConnectionClosed = "ConnectionClosed"

// Options configures a Server. The zero value is usable.
type Options struct {
	// Addr is the address to listen on; "127.0.0.1:0" when empty.
	Addr string
	// Now is the server's clock; time.Now when nil. It is called from many
	// goroutines, and with the server's lock held: it must not call the server.
	Now func() time.Time
	// Region and Account go into every ARN; "us-east-1" and "123456789012" when
	// empty. A request signed for another Region is refused.
	Region, Account string
	// Invoke runs a rotation function: RotateSecret calls it once for each step.
	// An error, also one the function returned, fails the step. It must return
	// when ctx ends. When nil no function can be invoked, and RotateSecret
	// answers AccessDeniedException.
	Invoke func(ctx context.Context, functionARN string, payload []byte) ([]byte, error)
	// RotationAttempts is how many times a failing rotation is tried whole before
	// it is left incomplete; 1 when 0. AWS publishes no number.
	RotationAttempts int
	// Suffix gives the six letters and digits that end the ARN of a secret by its name;
	// random ones when nil. On AWS they are random always: it is for a local run whose
	// ARNs are in files.
	Suffix func(name string) string
	// FullPages makes every page of GetParametersByPath but the last one full, as AWS
	// usually does; by default pages are short or empty, as AWS may return them. It is
	// for measurements.
	FullPages bool
	// Other answers the requests that are not of these two services, so that one
	// endpoint can be all of AWS. When nil they are refused.
	Other http.Handler
}

// Call is one request the server received.
type Call struct {
	// Time is when the request arrived, by the server's clock.
	Time time.Time
	// Operation is its name without the service, as "GetSecretValue".
	Operation string
	// Resource is the name of the secret or parameter, resolved from an ARN or
	// selector where one was given; of several, the names joined by commas; of
	// GetParametersByPath, the path as sent.
	Resource string
	// Code is the error code answered, "" for success, or CodeConnectionClosed.
	Code string
	// Client is the header X-Evertoken-Client, or else User-Agent.
	Client string
}

// Server is a running fake. Its methods may be called from any goroutine.
type Server struct {
	options Options
	http    *http.Server
	url     string
	served  chan struct{}
	faults  faults

	ctx    context.Context // ends with Close; given to Invoke
	cancel context.CancelFunc

	mu         sync.Mutex
	idle       *sync.Cond // on mu: active became 0
	active     int        // rotations in progress
	running    map[string]bool
	live       state
	secretPast map[string]*history[secret]
	paramPast  map[string]*history[parameter]
	removed    map[string]time.Time // :: parameter → when it was deleted
	accessed   map[accessKey]time.Time
	kms        map[string]kmsRefusal
	buckets    []*bucket
	calls      []Call
}

// New listens and serves until Close. It fails only if it cannot listen.
func New(o Options) (*Server, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if o.Account == "" {
		o.Account = "123456789012"
	}
	if o.RotationAttempts == 0 {
		o.RotationAttempts = 1
	}
	if o.Suffix == nil {
		o.Suffix = func(string) string { return newSuffix() }
	}
	listener, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("listening for AWS requests: %w", err)
	}
	s := &Server{
		options:    o,
		url:        "http://" + listener.Addr().String(),
		served:     make(chan struct{}),
		running:    map[string]bool{},
		live:       state{secrets: map[string]*secret{}, parameters: map[string]*parameter{}, now: o.Now},
		secretPast: map[string]*history[secret]{},
		paramPast:  map[string]*history[parameter]{},
		removed:    map[string]time.Time{},
		accessed:   map[accessKey]time.Time{},
		kms:        map[string]kmsRefusal{},
	}
	s.idle = sync.NewCond(&s.mu)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.http = &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: time.Minute}
	go func() {
		defer close(s.served)
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			panic("fakeaws: serving: " + err.Error())
		}
	}()
	return s, nil
}

// URL is the server's endpoint, for AWS_ENDPOINT_URL.
func (s *Server) URL() string { return s.url }

// FreeNames lets the names of deleted parameters be used again at once, as if the half
// minute had passed that Parameter Store requires.
func (s *Server) FreeNames() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.removed)
}

// Close ends rotations in progress, closes every connection and waits for both.
func (s *Server) Close() {
	s.cancel()
	// Close reports only errors of the listener, which is gone either way.
	_ = s.http.Close()
	<-s.served
	s.WaitRotations()
}

// AWSConfig is a configuration for the real SDK that reaches this server, with
// static credentials and the SDK's own retries.
func (s *Server) AWSConfig() aws.Config {
	return aws.Config{
		Region:       s.options.Region,
		Credentials:  credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "fake-secret-access-key", ""),
		BaseEndpoint: aws.String(s.url),
	}
}

// Calls returns every request since the start or the last ResetCalls, in the
// order in which the server acted on them.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Call(nil), s.calls...)
}

// ResetCalls forgets the requests received so far.
func (s *Server) ResetCalls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = nil
}

// serve answers one AWS request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if s.options.Other != nil && r.Header.Get("X-Amz-Target") == "" {
		s.options.Other.ServeHTTP(w, r)
		return
	}
	call := Call{Time: s.options.Now(), Client: r.Header.Get("X-Evertoken-Client")}
	if call.Client == "" {
		call.Client = r.UserAgent()
	}
	target, req, err := s.receive(r)
	_, call.Operation, _ = strings.Cut(target, ".")
	if err != nil {
		s.mu.Lock()
		s.record(call, err)
		s.mu.Unlock()
		answerError(w, target, err)
		return
	}
	s.mu.Lock()
	resources := req.resources(&s.live)
	s.mu.Unlock()
	call.Resource = strings.Join(resources, ",")

	out, err := s.act(call, resources, operations[target].read, req)
	switch {
	case errors.Is(err, errConnectionClosed):
		panic(http.ErrAbortHandler) // closes the connection without an answer
	case err != nil:
		answerError(w, target, err)
	default:
		answer(w, http.StatusOK, out)
	}
}

// act applies a request, or does what a fault prescribes for it.
func (s *Server) act(call Call, resources []string, read bool, req request) (any, error) {
	if batch, ok := req.(*batchGetSecretValue); ok {
		batch.refused = s.faults.refusedOf(call, resources)
	}
	fault, hooks := s.faults.match(call, resources)
	for _, hook := range hooks {
		hook(call)
	}
	if fault == nil {
		return s.apply(call, read, req, nil)
	}
	before := fault.Kind != FailAfter && fault.Kind != DropAfter
	if before {
		fault.hook(call)
	}
	out, err := s.apply(call, read, req, fault)
	if !before {
		fault.hook(call)
	}
	return out, err
}

// apply runs a request on the state under the lock and records it.
func (s *Server) apply(call Call, read bool, req request, fault *Fault) (out any, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &s.live
	switch {
	case s.overQuota(call.Operation):
		err = injected("ThrottlingException", call)
	case fault == nil:
		out, err = req.apply(s, st)
	case fault.Kind == Refuse:
		err = injected(fault.Code, call)
	case fault.Kind == DropBefore:
		err = errConnectionClosed
	case fault.Kind == Stale:
		if read {
			st = s.staleState(fault)
		}
		out, err = req.apply(s, st)
	case fault.Kind == FailAfter:
		_, _ = req.apply(s, st)
		err = injected(fault.Code, call)
	case fault.Kind == DropAfter:
		_, _ = req.apply(s, st)
		err = errConnectionClosed
	}
	s.record(call, err)
	return out, err
}

// record appends a call with the outcome err; s.mu must be held.
func (s *Server) record(call Call, err error) {
	var refusal *apiError
	switch {
	case errors.Is(err, errConnectionClosed):
		call.Code = CodeConnectionClosed
	case errors.As(err, &refusal):
		call.Code = refusal.code
	}
	s.calls = append(s.calls, call)
}
