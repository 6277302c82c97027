package fakeaws

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// steps are the values of an event's Step, in the order in which AWS sends them
// [https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html].
var steps = []string{"createSecret", "setSecret", "testSecret", "finishSecret"}

// errRotationEnded says that a rotation was cancelled or abandoned meanwhile.
var errRotationEnded = errors.New("the rotation was cancelled or abandoned")

type rotateSecret struct {
	secretID
	clientToken
	RotationLambdaARN string         `size:"0,2048"`
	RotationRules     *rotationRules `json:",omitempty"`
	RotateImmediately *bool
}

var functionARN = regexp.MustCompile(`^arn:aws:lambda:([a-z0-9-]+):(\d{12}):function:[a-zA-Z0-9-_]{1,64}(:[a-zA-Z0-9-_$]+)?$`)

func (in *rotateSecret) apply(s *Server, st *state) (any, error) {
	if err := in.check("InvalidParameterException"); err != nil {
		return nil, err
	}
	next, err := st.writable(in.SecretId)
	if err != nil {
		return nil, err
	}
	if err := in.configure(s, next); err != nil {
		return nil, err
	}
	out := named{ARN: next.arn, Name: next.name, VersionId: in.ClientRequestToken}
	current := next.withLabel(current)
	if v := next.version(in.ClientRequestToken); v != nil {
		if v == current {
			return out, nil // that rotation is done
		}
		return nil, refuse("InvalidParameterException",
			"You can't use ClientRequestToken %s because that value is already in use for a version of secret %s.", v.id, next.arn)
	}
	v, err := next.addVersion(in.ClientRequestToken, st.now())
	if err != nil {
		return nil, err
	}
	next.move(pending, v)
	if err := next.checkLabels(); err != nil {
		return nil, err
	}
	run := s.rotate
	if in.RotateImmediately != nil && !*in.RotateImmediately {
		// The test needs a pending version, and it carries the current value
		// [botocore secretsmanager RotateSecret.RotateImmediately;
		// github.com/getmoto/moto issue 8547].
		run = s.testRotation
		if current != nil {
			v.value = current.value
		}
	} else {
		next.inRotation = v.id
	}
	s.commit(next)
	s.begin(v.id)
	go func() {
		defer s.end(v.id)
		run(next.name, v.id)
	}()
	return out, nil
}

// configure checks the rotation asked for and writes its settings to next.
func (in *rotateSecret) configure(s *Server, next *secret) error {
	if in.RotationLambdaARN != "" {
		next.functionARN = in.RotationLambdaARN
	}
	if next.functionARN == "" {
		return refuse("InvalidRequestException", "No Lambda rotation function ARN is associated with this secret.")
	}
	parts := functionARN.FindStringSubmatch(next.functionARN)
	if s.options.Invoke == nil || parts == nil || parts[1] != s.options.Region {
		return refuse("AccessDeniedException",
			"Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to the principal secretsmanager.amazonaws.com.")
	}
	if in.RotationRules != nil {
		if err := in.RotationRules.check(); err != nil {
			return err
		}
		next.rules = in.RotationRules
	}
	if p := next.withLabel(pending); p != nil && p != next.withLabel(current) {
		return errIncomplete()
	}
	enabled := true
	next.rotationEnabled = &enabled
	next.changed = s.options.Now()
	next.nextRotation = next.rules.next(next.changed)
	return nil
}

// errIncomplete is quoted in github.com/aws/aws-cdk issue 28539.
func errIncomplete() error {
	return refuse("InvalidRequestException",
		"A previous rotation isn't complete. That rotation will be reattempted.")
}

// abandonRotation ends the rotation that a new AWSCURRENT made pointless
// [https://docs.aws.amazon.com/secretsmanager/latest/userguide/cloudtrail_log_entries.html, RotationAbandoned].
func (x *secret) abandonRotation() {
	if p := x.withLabel(pending); p != nil && p != x.withLabel(current) {
		p.detach(pending)
	}
	x.inRotation = ""
}

// begin and end count the rotations in progress. The caller of begin holds s.mu.
func (s *Server) begin(id string) {
	s.active++
	s.running[id] = true
}

func (s *Server) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, id)
	if s.active--; s.active == 0 {
		s.idle.Broadcast()
	}
}

// WaitRotations returns when no rotation, test of one or reattempt is in progress.
func (s *Server) WaitRotations() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.active > 0 {
		s.idle.Wait()
	}
}

// rotate tries a rotation whole, with the same version id each time, until it
// succeeds, ends otherwise, or has used up its attempts. Then it stays incomplete,
// AWSPENDING included.
func (s *Server) rotate(name, id string) {
	for range s.options.RotationAttempts {
		err := s.attempt(name, id)
		if err == nil || errors.Is(err, errRotationEnded) || s.ctx.Err() != nil {
			return
		}
	}
}

// RetryRotation tries the incomplete rotation of a secret once more, whole, as
// Secrets Manager does some time later, and waits for its end. It
// returns an error if there is no such rotation, if rotation is off, if the
// rotation is being tried at this moment, or if it fails again.
func (s *Server) RetryRotation(name string) error {
	id, err := s.resume(name)
	if err != nil {
		return fmt.Errorf("retrying the rotation of %s: %w", name, err)
	}
	defer s.end(id)
	if err := s.attempt(name, id); err != nil {
		return fmt.Errorf("retrying the rotation of %s: %w", name, err)
	}
	return nil
}

// resume finds the incomplete rotation of a secret and counts it as in progress.
func (s *Server) resume(name string) (id string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.live.secret(name)
	if x == nil || x.rotationEnabled == nil || !*x.rotationEnabled {
		return "", errors.New("rotation is not enabled")
	}
	id = x.inRotation
	if p := x.withLabel(pending); id == "" && p != nil && p != x.withLabel(current) {
		id = p.id
	}
	v := x.version(id)
	if v == nil || v != x.withLabel(pending) && v != x.withLabel(current) {
		return "", errors.New("no rotation is incomplete")
	}
	if s.running[id] {
		return "", errors.New("the rotation is under way")
	}
	next := x.clone()
	next.inRotation = id
	s.commit(next)
	s.begin(id)
	return id, nil
}

// attempt runs the four steps of a rotation and completes it.
func (s *Server) attempt(name, id string) error {
	token := newUUID()
	for _, step := range steps {
		s.mu.Lock()
		x := s.live.secret(name)
		s.mu.Unlock()
		if x == nil || !x.deleteAt.IsZero() || x.inRotation != id {
			return errRotationEnded
		}
		if err := s.invoke(x, id, step, token); err != nil {
			return err
		}
	}
	return s.complete(name, id)
}

// invoke runs one step, without the lock.
func (s *Server) invoke(x *secret, id, step, token string) error {
	payload, err := json.Marshal(struct {
		Step, SecretId, ClientRequestToken, RotationToken string
	}{step, x.arn, id, token})
	if err != nil {
		return fmt.Errorf("encoding the rotation event: %w", err)
	}
	if _, err := s.options.Invoke(s.ctx, x.functionARN, payload); err != nil {
		return fmt.Errorf("running %s: %w", step, err)
	}
	return nil
}

// complete is what Secrets Manager does once finishSecret has succeeded: it removes
// AWSPENDING from the promoted version [recorded test_rotate_secret_with_lambda_success].
func (s *Server) complete(name, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.live.secret(name)
	if x == nil || x.inRotation != id {
		return errRotationEnded
	}
	next := x.clone()
	v := next.version(id)
	if v == nil || v != next.withLabel(current) {
		return errors.New("finishSecret did not move AWSCURRENT")
	}
	v.detach(pending)
	next.inRotation = ""
	next.rotated = s.options.Now()
	next.nextRotation = next.rules.next(next.rotated)
	s.commit(next)
	return nil
}

// testRotation runs testSecret alone and removes its version again. That the step failed
// shows only in CloudTrail, which the fake does not have.
func (s *Server) testRotation(name, id string) {
	s.mu.Lock()
	x := s.live.secret(name)
	s.mu.Unlock()
	if x != nil {
		_ = s.invoke(x, id, "testSecret", newUUID())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	x = s.live.secret(name)
	if x == nil || x.version(id) == nil || x.version(id) == x.withLabel(current) {
		return
	}
	next := x.clone()
	next.versions = slices.DeleteFunc(next.versions, func(v *version) bool { return v.id == id })
	s.commit(next)
}

type cancelRotateSecret struct{ secretID }

// apply turns rotation off and leaves AWSPENDING where it is [botocore
// secretsmanager CancelRotateSecret].
func (in *cancelRotateSecret) apply(s *Server, st *state) (any, error) {
	next, err := st.writable(in.SecretId)
	if err != nil {
		return nil, err
	}
	enabled := false
	next.rotationEnabled = &enabled
	next.inRotation = ""
	next.changed = st.now()
	out := named{ARN: next.arn, Name: next.name}
	if p := next.withLabel(pending); p != nil && p != next.withLabel(current) {
		out.VersionId = p.id
	}
	s.commit(next)
	return out, nil
}
