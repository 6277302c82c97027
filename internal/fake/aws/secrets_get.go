package fakeaws

import (
	"slices"
	"time"
)

// secretValue is the answer of GetSecretValue and an entry of BatchGetSecretValue.
type secretValue struct {
	ARN           string
	Name          string
	VersionId     string
	SecretString  *string  `json:",omitempty"`
	SecretBinary  []byte   `json:",omitempty"`
	VersionStages []string `json:",omitempty"`
	CreatedDate   timestamp
}

type getSecretValue struct {
	secretID
	VersionId    *string `size:"32,64"`
	VersionStage *string `size:"1,256"`
}

func (in *getSecretValue) apply(s *Server, st *state) (any, error) {
	x, err := st.readable(in.SecretId)
	if err != nil {
		return nil, err
	}
	v, err := in.choose(x)
	if err != nil {
		return nil, err
	}
	return s.reveal(x, v)
}

// choose finds the version asked for, by id, by label, or by both, which must agree.
func (in *getSecretValue) choose(x *secret) (*version, error) {
	if in.VersionId != nil {
		v := x.version(*in.VersionId)
		switch {
		case v == nil:
			return nil, errNoVersion(*in.VersionId)
		case in.VersionStage != nil && !slices.Contains(v.labels, *in.VersionStage):
			return nil, refuse("InvalidRequestException",
				"You provided a VersionStage that is not associated to the provided VersionId.")
		case v.value == nil && in.VersionStage == nil:
			return nil, errNoVersion(*in.VersionId)
		case v.value == nil:
			return nil, errNoStage(*in.VersionStage)
		}
		return v, nil
	}
	label := current
	if in.VersionStage != nil {
		label = *in.VersionStage
	}
	v := x.withLabel(label)
	if v == nil || v.value == nil {
		return nil, errNoStage(label)
	}
	return v, nil
}

func errNoStage(label string) error {
	return refuse("ResourceNotFoundException",
		"Secrets Manager can't find the specified secret value for staging label: %s", label)
}

// reveal decrypts a version and notes the access.
func (s *Server) reveal(x *secret, v *version) (*secretValue, error) {
	if s.refusal(x.name).decrypt {
		return nil, errDecryption()
	}
	day := s.options.Now().UTC().Truncate(24 * time.Hour) // LastAccessedDate has no time of day
	s.accessed[accessKey{x.name, ""}] = day
	s.accessed[accessKey{x.name, v.id}] = day
	out := &secretValue{ARN: x.arn, Name: x.name, VersionId: v.id, VersionStages: v.labels,
		CreatedDate: timestamp(v.created)}
	if v.value.binary {
		out.SecretBinary = []byte(v.value.data)
	} else {
		out.SecretString = &v.value.data
	}
	return out, nil
}

type describeSecret struct{ secretID }

// description is the answer of DescribeSecret and an entry of ListSecrets, which
// names the map of versions differently.
type description struct {
	ARN                    string
	Name                   string
	Description            string              `json:",omitempty"`
	KmsKeyId               string              `json:",omitempty"`
	RotationEnabled        *bool               `json:",omitempty"`
	RotationLambdaARN      string              `json:",omitempty"`
	RotationRules          *rotationRules      `json:",omitempty"`
	LastRotatedDate        timestamp           `json:",omitzero"`
	LastChangedDate        timestamp           `json:",omitzero"`
	LastAccessedDate       timestamp           `json:",omitzero"`
	DeletedDate            timestamp           `json:",omitzero"`
	NextRotationDate       timestamp           `json:",omitzero"`
	Tags                   []tag               `json:",omitzero"`
	VersionIdsToStages     map[string][]string `json:",omitempty"`
	SecretVersionsToStages map[string][]string `json:",omitempty"`
	CreatedDate            timestamp
	PrimaryRegion          string        `json:",omitempty"`
	ReplicationStatus      []replication `json:",omitempty"`
}

type replication struct{ Region, Status string }

func (in *describeSecret) apply(s *Server, st *state) (any, error) {
	x, err := st.existing(in.SecretId)
	if err != nil {
		return nil, err
	}
	out := s.describe(x)
	out.VersionIdsToStages = x.labelled()
	if x.primaryRegion != "" {
		out.ReplicationStatus = []replication{{Region: s.options.Region, Status: "InSync"}}
	}
	return out, nil
}

func (s *Server) describe(x *secret) description {
	return description{
		ARN: x.arn, Name: x.name, Description: x.description, KmsKeyId: x.kmsKeyID,
		RotationEnabled: x.rotationEnabled, RotationLambdaARN: x.functionARN, RotationRules: x.rules,
		LastRotatedDate: timestamp(x.rotated), LastChangedDate: timestamp(x.changed),
		LastAccessedDate: timestamp(s.accessed[accessKey{x.name, ""}]),
		DeletedDate:      timestamp(x.deleteAt), NextRotationDate: timestamp(x.nextRotation),
		Tags: x.tags, CreatedDate: timestamp(x.created), PrimaryRegion: x.primaryRegion,
	}
}

// labelled maps the ids of all versions that have labels to these; a version
// without a value is among them.
func (x *secret) labelled() map[string][]string {
	stages := map[string][]string{}
	for _, v := range x.versions {
		if len(v.labels) > 0 {
			stages[v.id] = v.labels
		}
	}
	return stages
}

type listSecretVersionIDs struct {
	secretID
	MaxResults        *int64 `between:"1,100"`
	NextToken         string `size:"0,4096"`
	IncludeDeprecated bool
}

type versionEntry struct {
	VersionId        string
	VersionStages    []string  `json:",omitempty"`
	LastAccessedDate timestamp `json:",omitzero"`
	CreatedDate      timestamp
	KmsKeyIds        []string
}

func (in *listSecretVersionIDs) apply(s *Server, st *state) (any, error) {
	x, err := st.existing(in.SecretId)
	if err != nil {
		return nil, err
	}
	key := x.kmsKeyID
	if key == "" {
		key = "DefaultEncryptionKey"
	}
	var entries []versionEntry
	for _, v := range x.versions {
		if v.value == nil || len(v.labels) == 0 && !in.IncludeDeprecated {
			continue
		}
		entries = append(entries, versionEntry{
			VersionId: v.id, VersionStages: v.labels, CreatedDate: timestamp(v.created),
			LastAccessedDate: timestamp(s.accessed[accessKey{x.name, v.id}]), KmsKeyIds: []string{key},
		})
	}
	page, next, err := paged(entries, in.MaxResults, 100, in.NextToken)
	if err != nil {
		return nil, err
	}
	return struct {
		ARN, Name string
		Versions  []versionEntry
		NextToken string `json:",omitempty"`
	}{x.arn, x.name, page, next}, nil
}
