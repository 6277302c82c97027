// Package secrets calls Secrets Manager and SSM Parameter Store in the words of the rest of
// Evertoken: versions, labels, and one kind of error for each case that a caller handles.
// It moves bytes and does not know what a token is.
package secrets

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"evertoken/internal/redact"
)

// Secrets Manager's own labels ("staging labels").
const (
	Current  = "AWSCURRENT"
	Pending  = "AWSPENDING"
	Previous = "AWSPREVIOUS"
)

// Version is one version of a secret with its value.
type Version struct {
	ARN     string
	ID      string
	Labels  []string
	Created time.Time
	Value   redact.Secret
}

// Description is what DescribeSecret says of a secret.
type Description struct {
	ARN  string
	Name string
	// Labels maps each labelled version's id to its labels. A version that a
	// rotation has prepared is listed before it has a value.
	Labels          map[string][]string
	LastChanged     time.Time
	RotationEnabled bool
	// PrimaryRegion is set if this is a replica in another Region.
	PrimaryRegion string
	// Replicas maps the Regions of its replicas to their states, as InSync.
	Replicas map[string]string
	Tags     map[string]string
}

// Holder returns the id of the version that has the label, or "".
func (d Description) Holder(label string) string {
	for id, labels := range d.Labels {
		if slices.Contains(labels, label) {
			return id
		}
	}
	return ""
}

// Prefixed returns the labels that begin with prefix, each with its version's
// id.
func (d Description) Prefixed(prefix string) map[string]string {
	out := map[string]string{}
	for id, labels := range d.Labels {
		for _, label := range labels {
			if strings.HasPrefix(label, prefix) {
				out[label] = id
			}
		}
	}
	return out
}

// API is the part of the Secrets Manager client that is used.
type API interface {
	BatchGetSecretValue(context.Context, *secretsmanager.BatchGetSecretValueInput,
		...func(*secretsmanager.Options)) (*secretsmanager.BatchGetSecretValueOutput, error)
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput,
		...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
	DescribeSecret(context.Context, *secretsmanager.DescribeSecretInput,
		...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
	ListSecretVersionIds(context.Context, *secretsmanager.ListSecretVersionIdsInput,
		...func(*secretsmanager.Options)) (*secretsmanager.ListSecretVersionIdsOutput, error)
	PutSecretValue(context.Context, *secretsmanager.PutSecretValueInput,
		...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error)
	UpdateSecretVersionStage(context.Context, *secretsmanager.UpdateSecretVersionStageInput,
		...func(*secretsmanager.Options)) (*secretsmanager.UpdateSecretVersionStageOutput, error)
}

// Store reads and writes secrets.
type Store struct {
	api   API
	paces Paces
}

// NewStore returns a store over the client that keeps to the paces; nil means
// none.
func NewStore(api API, paces *Paces) *Store {
	if paces == nil {
		paces = &Paces{}
	}
	return &Store{api: api, paces: *paces}
}

// write and batched are the options of calls at a pace.
func (s *Store) write(o *secretsmanager.Options) { o.Retryer = paced(o.Retryer, s.paces.Writes) }

func (s *Store) batched(o *secretsmanager.Options) { o.Retryer = paced(o.Retryer, s.paces.Batches) }

// Get reads the version that has the label.
func (s *Store) Get(ctx context.Context, id, label string) (Version, error) {
	return s.get(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id, VersionStage: &label})
}

// GetVersion reads one version by its id.
func (s *Store) GetVersion(ctx context.Context, id, versionID string) (Version, error) {
	return s.get(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id, VersionId: &versionID})
}

func (s *Store) get(ctx context.Context, in *secretsmanager.GetSecretValueInput) (Version, error) {
	v, err := s.api.GetSecretValue(ctx, in)
	if err != nil {
		return Version{}, classify("GetSecretValue", err)
	}
	return newVersion(v.ARN, v.VersionId, v.VersionStages, v.CreatedDate, v.SecretString,
		v.SecretBinary)
}

func newVersion(arn, id *string, labels []string, created *time.Time, text *string, binary []byte) (
	Version, error,
) {
	if text == nil && binary != nil {
		return Version{}, &Error{Kind: ErrBinary, Op: "GetSecretValue", Code: "SecretBinary"}
	}
	return Version{
		ARN: aws.ToString(arn), ID: aws.ToString(id), Labels: labels,
		Created: aws.ToTime(created), Value: redact.New(aws.ToString(text)),
	}, nil
}

// Describe reads a secret's labels and settings. It answers [ErrDeleted] for a
// secret that is marked for deletion.
func (s *Store) Describe(ctx context.Context, id string) (Description, error) {
	d, err := s.api.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &id})
	if err != nil {
		return Description{}, classify("DescribeSecret", err)
	}
	if d.DeletedDate != nil {
		return Description{}, &Error{Kind: ErrDeleted, Op: "DescribeSecret", Code: "MarkedForDeletion"}
	}
	out := Description{
		ARN: aws.ToString(d.ARN), Name: aws.ToString(d.Name), Labels: d.VersionIdsToStages,
		LastChanged: aws.ToTime(d.LastChangedDate), RotationEnabled: aws.ToBool(d.RotationEnabled),
		Tags: map[string]string{},
	}
	for _, replica := range d.ReplicationStatus {
		if out.Replicas == nil {
			out.Replicas = map[string]string{}
		}
		out.Replicas[aws.ToString(replica.Region)] = string(replica.Status)
	}
	for _, t := range d.Tags {
		out.Tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	if primary := aws.ToString(d.PrimaryRegion); primary != "" && primary != region(out.ARN) {
		out.PrimaryRegion = primary
	}
	return out, nil
}

// Put stores a value as the version named. Putting the same value under the
// same id again changes nothing and succeeds; another value under that id is
// [ErrConflict]. Without labels AWSCURRENT moves to the new version.
func (s *Store) Put(ctx context.Context, id, versionID string, value redact.Secret,
	labels ...string,
) error {
	return s.PutAs(ctx, id, versionID, "", value, labels...)
}

// PutAs is Put on behalf of a rotation that came with a RotationToken; empty if
// it came with none.
func (s *Store) PutAs(ctx context.Context, id, versionID, rotationToken string, value redact.Secret,
	labels ...string,
) error {
	in := &secretsmanager.PutSecretValueInput{
		SecretId: &id, ClientRequestToken: &versionID, SecretString: aws.String(value.Reveal()),
		VersionStages: labels,
	}
	if rotationToken != "" {
		in.RotationToken = &rotationToken
	}
	_, err := s.api.PutSecretValue(ctx, in, s.write)
	return classify("PutSecretValue", err)
}

// MoveLabel moves a label between versions: from is the version that must have
// it now, empty if none does; to is the version that gets it, empty to take it
// off. If the label is elsewhere nothing changes and the answer is
// [ErrLabelMoved].
func (s *Store) MoveLabel(ctx context.Context, id, label, to, from string) error {
	in := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &id, VersionStage: &label}
	if to != "" {
		in.MoveToVersionId = &to
	}
	if from != "" {
		in.RemoveFromVersionId = &from
	}
	_, err := s.api.UpdateSecretVersionStage(ctx, in, s.write)
	return classify("UpdateSecretVersionStage", err)
}

// VersionsSince counts the versions made after t, labelled or not. It reads as
// many pages as it needs.
func (s *Store) VersionsSince(ctx context.Context, id string, t time.Time) (int, error) {
	n := 0
	in := &secretsmanager.ListSecretVersionIdsInput{SecretId: &id,
		IncludeDeprecated: aws.Bool(true), MaxResults: aws.Int32(100)}
	for {
		page, err := s.api.ListSecretVersionIds(ctx, in)
		if err != nil {
			return 0, classify("ListSecretVersionIds", err)
		}
		for _, v := range page.Versions {
			if aws.ToTime(v.CreatedDate).After(t) {
				n++
			}
		}
		if aws.ToString(page.NextToken) == "" {
			return n, nil
		}
		in.NextToken = page.NextToken
	}
}

// DeriveID returns a version id that is a function of its base. Two writers that start
// from the same base get the same id on purpose: Secrets Manager takes the second put for a
// repetition if it has the same bytes, and refuses it otherwise.
func DeriveID(arn, base, purpose string) string {
	sum := sha256.Sum256([]byte(arn + "\x00" + base + "\x00" + purpose))
	return shape(sum[:16])
}

// FreshID returns a version id that nobody else has.
func FreshID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return shape(b[:])
}

// shape writes 16 bytes the way UUIDs are written, which is what Secrets
// Manager recommends for version ids.
func shape(b []byte) string {
	h := hex.EncodeToString(b)
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:32]}, "-")
}

// isARN reports whether id is the ARN, with or without the hyphen and the six
// characters that Secrets Manager has put at its end.
func isARN(id, arn string) bool {
	return id == arn || (strings.HasPrefix(arn, id+"-") && len(arn) == len(id)+len("-AbCdEf"))
}

func region(arn string) string {
	if parts := strings.Split(arn, ":"); len(parts) > 3 {
		return parts[3]
	}
	return ""
}

// ErrorKind returns which of this package's kinds err is: NoError for nil alone,
// and ErrTransient for an error of another package.
func ErrorKind(err error) Kind {
	if err == nil {
		return NoError
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return ErrTransient
}

var _ API = (*secretsmanager.Client)(nil)
