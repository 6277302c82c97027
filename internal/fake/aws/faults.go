package fakeaws

import (
	"slices"
	"sync"
	"time"
)

// FaultKind is what a Fault does to a request.
type FaultKind int

const (
	// Refuse answers the error Code and applies nothing. In a BatchGetSecretValue
	// a fault with a Resource refuses that secret alone, in Errors.
	Refuse FaultKind = iota
	// FailAfter applies the request and then answers the error Code.
	FailAfter
	// DropBefore closes the connection and applies nothing.
	DropBefore
	// DropAfter applies the request and then closes the connection.
	DropAfter
	// Stale answers a read from an earlier state; a write proceeds as usual.
	Stale
	// OnlyHook calls Hook and lets the request proceed to the next fault, or to its
	// answer.
	OnlyHook
)

// Fault makes some requests fail. Of several faults that match a request the one
// injected first acts; those of kind OnlyHook all do. Its fields must not be
// changed once it is injected.
type Fault struct {
	// Operation ("PutSecretValue") and Resource (a name, as in Call.Resource) say
	// which requests it matches; empty matches any.
	Operation, Resource string
	// Skip lets so many matching requests pass first; Times is how many the fault then
	// acts on, 0 for all.
	Skip, Times int
	// Kind says what it does; the zero value is Refuse.
	Kind FaultKind
	// Code is the error code of Refuse and FailAfter, as "ThrottlingException".
	Code string
	// StaleBy is how old the state is that Stale answers from; 0 means the state before
	// the last write. A resource that was created by a method of Server, not by a
	// request, has always existed.
	StaleBy time.Duration
	// Hook is called when the fault acts, before the answer: for FailAfter and
	// DropAfter after the request was applied, else before. It is called without
	// any lock and may block, to hold a request at that point.
	Hook func(Call)
	// Match is a further condition; nil matches. It must not inject faults.
	Match func(Call) bool

	mu          sync.Mutex
	seen, fired int
}

// Fired is how often the fault has acted.
func (f *Fault) Fired() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fired
}

func (f *Fault) hook(call Call) {
	if f.Hook != nil {
		f.Hook(call)
	}
}

// take reports whether f acts on a call that is about resources, and counts it.
func (f *Fault) take(call Call, resources []string) bool {
	if f.Operation != "" && f.Operation != call.Operation ||
		f.Resource != "" && f.Resource != call.Resource && !slices.Contains(resources, f.Resource) ||
		f.Match != nil && !f.Match(call) {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen++
	if f.seen <= f.Skip || f.Times > 0 && f.fired >= f.Times {
		return false
	}
	f.fired++
	return true
}

type faults struct {
	mu  sync.Mutex
	all []*Fault
}

// Inject adds a fault.
func (s *Server) Inject(f *Fault) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.all = append(s.faults.all, f)
}

// ClearFaults removes every fault.
func (s *Server) ClearFaults() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.all = nil
}

func (fs *faults) list() []*Fault {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return slices.Clone(fs.all)
}

// perSecret reports whether a fault refuses one secret of a batch and not the whole call.
func perSecret(f *Fault, call Call) bool {
	return call.Operation == "BatchGetSecretValue" && f.Kind == Refuse && f.Resource != ""
}

// match finds the fault that acts on a call, or nil, and the hooks to call.
func (fs *faults) match(call Call, resources []string) (acting *Fault, hooks []func(Call)) {
	for _, f := range fs.list() {
		switch {
		case perSecret(f, call):
		case f.Kind == OnlyHook:
			if f.take(call, resources) && f.Hook != nil {
				hooks = append(hooks, f.Hook)
			}
		case acting == nil && f.take(call, resources):
			acting = f
		}
	}
	return acting, hooks
}

// refusedOf finds which secrets of a batch are refused, and how.
func (fs *faults) refusedOf(call Call, resources []string) map[string]error {
	refused := map[string]error{}
	for _, f := range fs.list() {
		if perSecret(f, call) && refused[f.Resource] == nil && f.take(call, resources) {
			f.hook(call)
			refused[f.Resource] = injected(f.Code, call)
		}
	}
	return refused
}

// injected is the error answer of a fault. Like AWS's own, the text of a refused
// authorization holds ARNs and an account id.
func injected(code string, call Call) error {
	switch code {
	case "AccessDeniedException":
		return refuse(code,
			"User: arn:aws:sts::123456789012:assumed-role/evertoken/session is not authorized to perform: %s on resource: %s because no identity-based policy allows the action", call.Operation, call.Resource)
	case "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded":
		return refuse(code, "Rate exceeded")
	case "DecryptionFailure":
		return errDecryption()
	case "EncryptionFailure":
		return errEncryption()
	case "InternalServiceError", "InternalServerError":
		return refuse(code, "An error occurred on the server side.")
	default:
		return refuse(code, "The request can't be processed now.")
	}
}
