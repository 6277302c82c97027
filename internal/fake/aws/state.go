package fakeaws

import (
	"crypto/rand"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The staging labels that Secrets Manager itself moves.
const (
	current  = "AWSCURRENT"
	previous = "AWSPREVIOUS"
	pending  = "AWSPENDING"
)

// state is all secrets and parameters at one moment. Secrets and parameters are
// never changed once they are in a state: a write replaces them by a changed
// copy, so that a refused write has changed nothing and earlier states can be
// kept for stale reads.
type state struct {
	secrets    map[string]*secret    // :: name → secret
	parameters map[string]*parameter // :: name → parameter
	now        func() time.Time
}

type secret struct {
	name, arn, description, kmsKeyID string

	created, changed, rotated, nextRotation time.Time
	deleteAt                                time.Time // end of the recovery window; zero unless deleted

	tags     []tag // nil if never tagged
	versions []*version

	rotationEnabled *bool // nil if never configured
	functionARN     string
	rules           *rotationRules
	inRotation      string // version id of the rotation that is not complete

	primaryRegion string // of a replica
	policy        string // the resource policy; "" for none
}

type version struct {
	id      string
	created time.Time
	value   *value // nil for the version a rotation prepared
	labels  []string
}

type value struct {
	binary bool
	data   string
}

type tag struct {
	Key   string `required:"true" size:"1,128"`
	Value string `size:"0,256"`
}

// accessKey names a version of a secret, or with an empty version the secret.
type accessKey struct{ secret, version string }

func (x *secret) clone() *secret {
	next := *x
	next.tags = slices.Clone(x.tags)
	next.versions = make([]*version, len(x.versions))
	for i, v := range x.versions {
		copied := *v
		copied.labels = slices.Clone(v.labels)
		next.versions[i] = &copied
	}
	return &next
}

func (x *secret) version(id string) *version {
	for _, v := range x.versions {
		if v.id == id {
			return v
		}
	}
	return nil
}

// withLabel is the version that has label, or nil.
func (x *secret) withLabel(label string) *version {
	for _, v := range x.versions {
		if slices.Contains(v.labels, label) {
			return v
		}
	}
	return nil
}

func (x *secret) hasValue() bool {
	return slices.ContainsFunc(x.versions, func(v *version) bool { return v.value != nil })
}

// secret finds a secret by name; one whose recovery window has ended no longer exists.
func (st *state) secret(name string) *secret {
	x := st.secrets[name]
	if x == nil || !x.deleteAt.IsZero() && !st.now().Before(x.deleteAt) {
		return nil
	}
	return x
}

// suffixed is the end of a full ARN: the name, a hyphen and six characters.
var suffixed = regexp.MustCompile(`^(.+)-[a-zA-Z0-9]{6}$`)

// find finds a secret by its name, its full ARN, or its ARN without the six
// random characters. As on AWS, the partial ARN of a name that itself ends with a
// hyphen and six characters finds nothing [recorded
// test_create_and_update_secret[Invalid/_+=.@-Name-a1b2c3-False]].
func (st *state) find(id string) *secret {
	if !strings.HasPrefix(id, "arn:") {
		return st.secret(id)
	}
	parts := strings.SplitN(id, ":", 7)
	if len(parts) != 7 {
		return nil
	}
	if match := suffixed.FindStringSubmatch(parts[6]); match != nil {
		if x := st.secret(match[1]); x != nil && x.arn == id {
			return x
		}
		return nil
	}
	if x := st.secret(parts[6]); x != nil && strings.HasPrefix(x.arn, id+"-") {
		return x
	}
	return nil
}

// nameOf is the name of the secret id means, or id itself.
func (st *state) nameOf(id string) string {
	if x := st.find(id); x != nil {
		return x.name
	}
	return id
}

// readable finds a secret whose values may be read.
func (st *state) readable(id string) (*secret, error) {
	x, err := st.existing(id)
	if err != nil {
		return nil, err
	}
	if !x.deleteAt.IsZero() {
		return nil, errDeleted()
	}
	return x, nil
}

// existing finds a secret, deleted or not.
func (st *state) existing(id string) (*secret, error) {
	if x := st.find(id); x != nil {
		return x, nil
	}
	return nil, refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

// writable finds a secret that may be changed and returns a copy to change.
func (st *state) writable(id string) (*secret, error) {
	x, err := st.readable(id)
	if err != nil {
		return nil, err
	}
	if x.primaryRegion != "" {
		return nil, errReplica()
	}
	return x.clone(), nil
}

func errDeleted() error {
	return refuse("InvalidRequestException",
		"You can't perform this operation on the secret because it was marked for deletion.")
}

// errReplica is AWS's answer as quoted in github.com/lgallard/terraform-aws-secrets-manager issue 188.
func errReplica() error {
	return refuse("InvalidParameterException",
		"Operation not permitted on a replica secret. Call must be made in primary secret's region.")
}

// commit makes next the live state of its secret.
func (s *Server) commit(next *secret) {
	s.live.secrets[next.name] = next
	past := s.secretPast[next.name]
	if past == nil {
		past = &history[secret]{}
		s.secretPast[next.name] = past
	}
	past.add(s.options.Now(), next)
}

// remove deletes a secret permanently.
func (s *Server) remove(name string) {
	delete(s.live.secrets, name)
	s.secretPast[name].add(s.options.Now(), nil)
}

func (s *Server) commitParameter(next *parameter) {
	s.live.parameters[next.name] = next
	past := s.paramPast[next.name]
	if past == nil {
		past = &history[parameter]{}
		s.paramPast[next.name] = past
	}
	past.add(s.options.Now(), next)
}

func (s *Server) removeParameter(name string) {
	delete(s.live.parameters, name)
	s.removed[name] = s.options.Now()
	s.paramPast[name].add(s.options.Now(), nil)
}

// history has the earlier states of a resource, oldest first. When there are too many,
// the oldest is dropped, and the next one counts for all the time before it.
type history[T any] struct{ past []snapshot[T] }

type snapshot[T any] struct {
	at    time.Time
	state *T // nil: the resource did not exist
}

const keptSnapshots = 256

func (h *history[T]) add(at time.Time, state *T) {
	if len(h.past) == keptSnapshots {
		h.past = slices.Delete(h.past, 0, 1)
		h.past[0].at = time.Time{}
	}
	h.past = append(h.past, snapshot[T]{at, state})
}

// forget drops the earlier states: the current one counts for all time.
func (h *history[T]) forget() {
	last := h.past[len(h.past)-1]
	h.past = []snapshot[T]{{time.Time{}, last.state}}
}

// before is the state before the last write; a resource whose history was forgotten has
// had no other.
func (h *history[T]) before() *T {
	switch n := len(h.past); {
	case n > 1:
		return h.past[n-2].state
	case h.past[0].at.IsZero():
		return h.past[0].state
	default:
		return nil
	}
}

// at is the state at the time t.
func (h *history[T]) at(t time.Time) *T {
	for _, entry := range slices.Backward(h.past) {
		if !entry.at.After(t) {
			return entry.state
		}
	}
	return nil
}

// staleState is the live state with the resource of f, or all of them, as of
// f.StaleBy ago, or as of before their last write. s.mu must be held.
func (s *Server) staleState(f *Fault) *state {
	st := &state{secrets: maps.Clone(s.live.secrets), parameters: maps.Clone(s.live.parameters),
		now: s.options.Now}
	asOf := s.options.Now().Add(-f.StaleBy)
	only := f.Resource
	if s.secretPast[only] == nil && s.paramPast[only] == nil {
		only = "" // a path: everything below it
	}
	rewind(st.secrets, s.secretPast, only, asOf, f.StaleBy == 0)
	rewind(st.parameters, s.paramPast, only, asOf, f.StaleBy == 0)
	return st
}

func rewind[T any](live map[string]*T, past map[string]*history[T], only string, asOf time.Time,
	before bool) {
	for name, h := range past {
		if only != "" && only != name {
			continue
		}
		old := h.at(asOf)
		if before {
			old = h.before()
		}
		if old == nil {
			delete(live, name)
		} else {
			live[name] = old
		}
	}
}

// newUUID is a random UUID of version 4.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// newSuffix is the six random characters at the end of a secret's ARN.
func newSuffix() string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	suffix := make([]byte, 6)
	for i := range suffix {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet))))
		if err != nil {
			panic("fakeaws: reading random bytes: " + err.Error())
		}
		suffix[i] = alphabet[n.Int64()]
	}
	return string(suffix)
}
