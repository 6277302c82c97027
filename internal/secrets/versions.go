package secrets

import (
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// VersionInfo is a version of a secret without its value.
type VersionInfo struct {
	ID      string
	Created time.Time
	Labels  []string // none for a version that is deprecated
}

// Versions lists the versions of a secret, labelled or not, newest first. One
// that has no label may disappear once it is a day old. A version that a
// rotation prepared is listed before it has a value.
func (s *Store) Versions(ctx context.Context, id string) ([]VersionInfo, error) {
	var out []VersionInfo
	in := &secretsmanager.ListSecretVersionIdsInput{SecretId: &id,
		IncludeDeprecated: aws.Bool(true), MaxResults: aws.Int32(100)}
	for {
		page, err := s.api.ListSecretVersionIds(ctx, in)
		if err != nil {
			return nil, classify("ListSecretVersionIds", err)
		}
		for _, v := range page.Versions {
			out = append(out, VersionInfo{
				ID: aws.ToString(v.VersionId), Created: aws.ToTime(v.CreatedDate), Labels: v.VersionStages,
			})
		}
		if aws.ToString(page.NextToken) == "" {
			break
		}
		in.NextToken = page.NextToken
	}
	slices.SortStableFunc(out, func(a, b VersionInfo) int { return b.Created.Compare(a.Created) })
	return out, nil
}

// LastRotated is when Secrets Manager last completed a rotation of the secret;
// zero if it never did.
func (s *Store) LastRotated(ctx context.Context, id string) (time.Time, error) {
	d, err := s.api.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &id})
	if err != nil {
		return time.Time{}, classify("DescribeSecret", err)
	}
	return aws.ToTime(d.LastRotatedDate), nil
}
