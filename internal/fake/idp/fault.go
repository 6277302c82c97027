package fakeidp

import (
	"bytes"
	"net/http"
	"strings"
)

// FaultKind is what a [Fault] does to a request.
type FaultKind int

const (
	// Answer gives Status, Header and Body; nothing is processed.
	Answer FaultKind = iota
	// DropBefore closes the connection; nothing is processed.
	DropBefore
	// DropAfter processes the request and closes the connection with no answer.
	DropAfter
	// AnswerAfter processes the request and gives Status, Header and Body instead of the
	// answer, as a gateway does after its time-out. Status defaults to 504.
	AnswerAfter
	// Redirect answers Status (302) with a Location on this server, where the
	// request is recorded if the client follows; nothing is processed.
	Redirect
	// HTML answers Status (200) with an HTML page; nothing is processed.
	HTML
	// Huge answers Status (200) with more than 10 MB of JSON; nothing is
	// processed.
	Huge
	// Hang answers nothing until the client disconnects or the server closes; nothing is
	// processed.
	Hang
	// Truncate processes the request and sends the first half of the answer's
	// body as a complete HTTP response.
	Truncate
	// CutOff processes the request and closes the connection half way through
	// the answer's body.
	CutOff
	// OnlyHook changes nothing and runs Hook.
	OnlyHook
)

func (k FaultKind) processes() bool {
	switch k {
	case DropAfter, AnswerAfter, Truncate, CutOff, OnlyHook:
		return true
	}
	return false
}

// Fault disturbs requests that fit all its non-empty members. Of several that
// fit one request, the one injected first acts.
type Fault struct {
	Provider string
	// Path fits a request's path as a whole or as its end.
	Path  string
	Grant string
	// Match fits a request when it returns true. It sees the request before it
	// is processed.
	Match func(Request) bool

	// Skip is how many fitting requests pass first.
	Skip int
	// Times is how many requests are disturbed; 0 means all.
	Times int

	Kind FaultKind
	// Status, Header and Body are the answer of the kinds that give one.
	Status int
	Header http.Header
	Body   []byte
	// Hook, if set, runs after the request was processed (where the kind does that) and
	// before the answer. No lock is held, so it may call the server. What it wrote may be
	// read without a lock after any later call of [Server.Requests].
	Hook func(Request)
}

// injected is a fault with its counts.
type injected struct {
	Fault
	seen, used int
}

// Inject adds a fault. The fault is copied: later changes to f have no effect.
func (s *Server) Inject(f *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &injected{Fault: *f})
}

// ClearFaults removes all faults.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// pick finds the fault that acts on a request, and counts it.
func (s *Server) pick(r Request) *Fault {
	s.mu.Lock()
	faults := append([]*injected(nil), s.faults...)
	s.mu.Unlock()
	for _, f := range faults {
		if f.fits(r) && s.take(f) {
			return &f.Fault
		}
	}
	return nil
}

// take says whether f acts on a request that fits it.
func (s *Server) take(f *injected) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Times > 0 && f.used >= f.Times {
		return false
	}
	f.seen++
	if f.seen <= f.Skip {
		return false
	}
	f.used++
	return true
}

func (f *Fault) fits(r Request) bool {
	switch {
	case f.Provider != "" && f.Provider != r.Provider:
		return false
	case f.Path != "" && !strings.HasSuffix(r.Path, f.Path):
		return false
	case f.Grant != "" && f.Grant != r.Grant:
		return false
	}
	return f.Match == nil || f.Match(r)
}

// shape turns the provider's answer into the one to send.
func (f *Fault) shape(out reply, elsewhere string) reply {
	given := reply{status: f.Status, header: f.Header.Clone(), body: f.Body}
	switch f.Kind {
	case DropBefore, DropAfter, Hang:
		return reply{}
	case Answer:
		return given.orStatus(http.StatusOK)
	case AnswerAfter:
		return given.orStatus(http.StatusGatewayTimeout)
	case Redirect:
		if given.header.Get("Location") == "" {
			given.header = http.Header{"Location": {elsewhere}}
		}
		return given.orStatus(http.StatusFound)
	case HTML:
		return htmlReply(given.orStatus(http.StatusOK).status, "Sign in")
	case Huge:
		padding := bytes.Repeat([]byte("x"), 11<<20)
		out := jsonReply(given.orStatus(http.StatusOK).status, nil)
		out.body = append(append([]byte(`{"padding":"`), padding...), `"}`...)
		return out
	case Truncate:
		out.body = out.body[:len(out.body)/2]
		return out
	case CutOff:
		out.cut = true
		return out
	}
	return out
}

func (r reply) orStatus(status int) reply {
	if r.status == 0 {
		r.status = status
	}
	return r
}
