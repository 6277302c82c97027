package fakeaws

import (
	"fmt"
	"regexp"
	"slices"
)

// maxValue is the size of a secret value in bytes [botocore secretsmanager
// SecretStringType, SecretBinaryType].
const maxValue = 65536

// secretID is the member that names the secret.
type secretID struct {
	SecretId string `required:"true" size:"1,2048"`
}

func (in *secretID) resources(st *state) []string { return []string{st.nameOf(in.SecretId)} }

// clientToken is the member that becomes the id of a new version.
type clientToken struct {
	ClientRequestToken string `size:"32,64"`
}

// check answers the missing token as AWS does [recorded
// test_no_client_request_token]: the SDKs fill it in, raw requests forget it.
func (in clientToken) check(code string) error {
	if in.ClientRequestToken == "" {
		return refuse(code, "You must provide a ClientRequestToken value. We recommend a UUID-type value.")
	}
	return nil
}

// payload is the two members that can hold a secret value.
type payload struct {
	SecretString *string `size:"1,65536"`
	SecretBinary []byte  `size:"1,65536"`
}

// value is the secret value of a request, nil if there is none.
func (in payload) value() (*value, error) {
	switch {
	case in.SecretString != nil && in.SecretBinary != nil:
		return nil, refuse("InvalidParameterException",
			"You can't specify both a binary secret value and a string secret value in the same secret.")
	case in.SecretString != nil:
		if len(*in.SecretString) > maxValue {
			return nil, violation("secretString", "Member must have length less than or equal to 65536")
		}
		return &value{data: *in.SecretString}, nil
	case in.SecretBinary != nil:
		if len(in.SecretBinary) == 0 {
			return nil, violation("secretBinary", "Member must have length greater than or equal to 1")
		}
		return &value{binary: true, data: string(in.SecretBinary)}, nil
	default:
		return nil, nil
	}
}

// named is the answer of most writes.
type named struct {
	ARN           string
	Name          string
	VersionId     string    `json:",omitempty"`
	VersionStages []string  `json:",omitempty"`
	DeletionDate  timestamp `json:",omitzero"`
}

type createSecret struct {
	Name string `required:"true" size:"1,512"`
	clientToken
	payload
	Description string `size:"0,2048"`
	KmsKeyId    string `size:"0,2048"`
	Tags        []tag  `size:"0,50"`
}

var secretName = regexp.MustCompile(`^[a-zA-Z0-9/_+=.@!-]+$`)

func (in *createSecret) resources(*state) []string { return []string{in.Name} }

func (in *createSecret) apply(s *Server, st *state) (any, error) {
	if !secretName.MatchString(in.Name) {
		return nil, refuse("ValidationException",
			"Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
	}
	if err := in.check("InvalidRequestException"); err != nil {
		return nil, err
	}
	content, err := in.value()
	if err != nil {
		return nil, err
	}
	if x := st.secret(in.Name); x != nil {
		return in.repeat(x, content)
	}
	if content != nil && s.refusal(in.Name).encrypt {
		return nil, errEncryption()
	}
	now := st.now()
	next := &secret{
		name:        in.Name,
		arn:         fmt.Sprintf("arn:aws:secretsmanager:%s:%s:secret:%s-%s", s.options.Region, s.options.Account, in.Name, s.options.Suffix(in.Name)),
		description: in.Description, kmsKeyID: in.KmsKeyId,
		tags: in.Tags, created: now, changed: now,
	}
	out := named{ARN: next.arn, Name: next.name}
	if content != nil {
		next.versions = []*version{{id: in.ClientRequestToken, created: now, value: content,
			labels: []string{current}}}
		out.VersionId = in.ClientRequestToken
	}
	s.commit(next)
	return out, nil
}

// repeat answers a CreateSecret over an existing name: only the repetition of the
// call that made it succeeds.
func (in *createSecret) repeat(x *secret, content *value) (any, error) {
	if !x.deleteAt.IsZero() {
		return nil, refuse("InvalidRequestException",
			"You can't create this secret because a secret with this name is already scheduled for deletion.")
	}
	if v := x.version(in.ClientRequestToken); v != nil && content != nil && v.value != nil &&
		*v.value == *content {
		return named{ARN: x.arn, Name: x.name, VersionId: v.id}, nil
	}
	return nil, refuse("ResourceExistsException",
		"The operation failed because the secret %s already exists.", in.Name)
}

type putSecretValue struct {
	secretID
	clientToken
	payload
	VersionStages []string `size:"1,20" each:"1,256"`
	RotationToken string   `size:"36,256" pattern:"^[a-zA-Z0-9\\-]+$"`
}

func (in *putSecretValue) apply(s *Server, st *state) (any, error) {
	if in.VersionStages != nil && len(in.VersionStages) == 0 {
		return nil, violation("versionStages", "Member must have length greater than or equal to 1")
	}
	if err := in.check("InvalidRequestException"); err != nil {
		return nil, err
	}
	content, err := in.value()
	if err != nil {
		return nil, err
	}
	if content == nil {
		return nil, refuse("InvalidRequestException", "You must provide either SecretString or SecretBinary.")
	}
	next, err := st.writable(in.SecretId)
	if err != nil {
		return nil, err
	}
	labels := in.VersionStages
	if labels == nil {
		labels = []string{current}
	}
	v, err := s.put(next, in.ClientRequestToken, content, labels)
	if err != nil {
		return nil, err
	}
	return named{ARN: next.arn, Name: next.name, VersionId: v.id, VersionStages: v.labels}, nil
}

// put stores content as the version token of next, a copy made to be changed, moves
// labels to it, and commits next. If the version already has that content, it changes
// nothing.
func (s *Server) put(next *secret, token string, content *value, labels []string) (*version, error) {
	v := next.version(token)
	if v != nil && v.value != nil {
		if *v.value == *content {
			return v, nil
		}
		return nil, errTokenUsed(token, next.arn)
	}
	if s.refusal(next.name).encrypt {
		return nil, errEncryption()
	}
	now := s.options.Now()
	if v == nil {
		var err error
		if v, err = next.addVersion(token, now); err != nil {
			return nil, err
		}
	}
	if !next.hasValue() && !slices.Contains(labels, current) {
		labels = append(slices.Clone(labels), current) // the first value is always current
	}
	v.value = content
	next.changed = now
	for _, label := range labels {
		next.move(label, v)
	}
	if slices.Contains(labels, current) && next.inRotation != "" && next.inRotation != token {
		next.abandonRotation()
	}
	if err := next.checkLabels(); err != nil {
		return nil, err
	}
	s.commit(next)
	return v, nil
}

func errTokenUsed(token, arn string) error {
	return refuse("ResourceExistsException",
		"You can't use ClientRequestToken %s because that value is already in use for a version of secret %s.", token, arn)
}

type updateSecret struct {
	secretID
	clientToken
	payload
	Description *string `size:"0,2048"`
	KmsKeyId    *string `size:"0,2048"`
}

func (in *updateSecret) apply(s *Server, st *state) (any, error) {
	if err := in.check("InvalidRequestException"); err != nil {
		return nil, err
	}
	content, err := in.value()
	if err != nil {
		return nil, err
	}
	next, err := st.writable(in.SecretId)
	if err != nil {
		return nil, err
	}
	if in.Description != nil {
		next.description = *in.Description
	}
	if in.KmsKeyId != nil {
		next.kmsKeyID = *in.KmsKeyId
	}
	next.changed = st.now()
	out := named{ARN: next.arn, Name: next.name}
	if content == nil {
		s.commit(next)
		return out, nil
	}
	// Unlike a put, an update never repeats a version, not even the same content
	// [botocore secretsmanager UpdateSecret].
	if next.version(in.ClientRequestToken) != nil {
		return nil, errTokenUsed(in.ClientRequestToken, next.arn)
	}
	v, err := s.put(next, in.ClientRequestToken, content, []string{current})
	if err != nil {
		return nil, err
	}
	out.VersionId = v.id
	return out, nil
}
