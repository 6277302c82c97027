package fakeaws

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The methods here set up and inspect the state directly. They are no requests: Calls
// does not list them, and no fault acts on them. For a stale read, what they create has
// always existed (see Fault.StaleBy).

// SecretState is a secret at the time of the call. Its Name is empty if there is
// no such secret.
type SecretState struct {
	Name, ARN        string
	Description      string
	KMSKeyID         string
	Tags             map[string]string
	Versions         []VersionState // in the order of their creation
	Created          time.Time
	LastChangedDate  time.Time
	LastRotatedDate  time.Time
	NextRotationDate time.Time
	DeletedDate      time.Time // end of the recovery window; zero unless deleted
	RotationEnabled  bool
	RotationLambda   string // the function's ARN
	RotationSchedule string // ScheduleExpression, or "N days"
	PrimaryRegion    string // of a replica
}

// VersionState is one version of a secret.
type VersionState struct {
	ID       string
	Value    string // text, or the bytes of a binary value
	HasValue bool   // false for the version a rotation prepared
	Binary   bool
	Created  time.Time
	Labels   []string // in alphabetical order
}

// Labelled returns the version that has the staging label.
func (x SecretState) Labelled(label string) (VersionState, bool) {
	for _, v := range x.Versions {
		if slices.Contains(v.Labels, label) {
			return v, true
		}
	}
	return VersionState{}, false
}

// ParamState is a parameter at the time of the call.
type ParamState struct {
	Name, Type, Value string
	Version           int64
	Tier              string // "Standard" or "Advanced"
	KeyID             string // of a SecureString
	LastModifiedDate  time.Time
}

// CreateSecret makes a secret, without a value if value is nil, and returns its
// ARN. It panics if Secrets Manager would refuse it.
func (s *Server) CreateSecret(name string, value *string, tags map[string]string) (arn string) {
	in := &createSecret{Name: name, clientToken: clientToken{newUUID()}, payload: payload{SecretString: value}}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		in.Tags = append(in.Tags, tag{key, tags[key]})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := must(in.apply(s, &s.live))
	s.secretPast[name].forget()
	return out.(named).ARN
}

// must is for set-up, whose arguments the test chose.
func must(out any, err error) any {
	if err != nil {
		panic("fakeaws: " + err.Error())
	}
	return out
}

// Secret returns the state of the secret with that name or ARN.
func (s *Server) Secret(name string) SecretState {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.live.find(name)
	if x == nil {
		return SecretState{}
	}
	out := SecretState{
		Name: x.name, ARN: x.arn, Description: x.description, KMSKeyID: x.kmsKeyID, Tags: map[string]string{},
		Created: x.created, LastChangedDate: x.changed, LastRotatedDate: x.rotated, NextRotationDate: x.nextRotation,
		DeletedDate: x.deleteAt, RotationEnabled: x.rotationEnabled != nil && *x.rotationEnabled,
		RotationLambda: x.functionARN, PrimaryRegion: x.primaryRegion,
	}
	for _, t := range x.tags {
		out.Tags[t.Key] = t.Value
	}
	if x.rules != nil {
		out.RotationSchedule = x.rules.ScheduleExpression
		if x.rules.AutomaticallyAfterDays != 0 {
			out.RotationSchedule = fmt.Sprintf("%d days", x.rules.AutomaticallyAfterDays)
		}
	}
	for _, v := range x.versions {
		state := VersionState{ID: v.id, Created: v.created, Labels: slices.Clone(v.labels),
			HasValue: v.value != nil}
		if v.value != nil {
			state.Value, state.Binary = v.value.data, v.value.binary
		}
		out.Versions = append(out.Versions, state)
	}
	return out
}

// VersionsYoungerThan counts the versions of a secret created less than age ago,
// by the server's clock.
func (s *Server) VersionsYoungerThan(name string, age time.Duration) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.live.find(name)
	if x == nil {
		return 0
	}
	now, young := s.options.Now(), 0
	for _, v := range x.versions {
		if now.Sub(v.created) < age {
			young++
		}
	}
	return young
}

// SetReplica makes a secret a replica of one in primaryRegion: it can be read,
// and every write is refused. An empty region makes it a primary again. It panics
// if there is no such secret.
func (s *Server) SetReplica(name, primaryRegion string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.live.find(name)
	if x == nil {
		panic("fakeaws: no secret " + name)
	}
	next := x.clone()
	next.primaryRegion = primaryRegion
	s.commit(next)
	s.secretPast[next.name].forget()
}

// Parameter returns a parameter and whether there is one of that name.
func (s *Server) Parameter(name string) (ParamState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.live.parameters[strings.TrimSpace(name)]
	if p == nil {
		return ParamState{}, false
	}
	v := p.latest()
	return ParamState{
		Name: p.name, Type: p.kind, Value: v.value, Version: v.number, Tier: p.tier,
		KeyID: p.keyID, LastModifiedDate: v.modified,
	}, true
}

// PutParameter creates or overwrites a parameter of the type String, StringList
// or SecureString, in the tier its size needs. It panics if Parameter Store would
// refuse it.
func (s *Server) PutParameter(name, kind, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := &putParameter{Name: name, Type: kind, Value: &value, Tier: "Intelligent-Tiering", Overwrite: true}
	must(in.apply(s, &s.live))
	s.paramPast[strings.TrimSpace(name)].forget()
}
