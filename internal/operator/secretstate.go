package operator

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"evertoken/internal/secrets"
)

// held is what is known of a secret before it is changed.
type held struct {
	exists, deleted bool
	arn             string
	tag             string // of [parameterTag]
	renamedFrom     string // of [renamedTag]
	labels          map[string][]string
}

// current is the version that is AWSCURRENT, or "": the secret has no value.
func (h held) current() string { return holder(h.labels, secrets.Current) }

// look describes a secret. That it is not there is no error.
func (a *app) look(ctx context.Context, name string) (held, error) {
	d, err := a.aws.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &name})
	if missing(err) {
		return held{}, nil
	}
	if err != nil {
		return held{}, refused(err, "secretsmanager:DescribeSecret", name)
	}
	h := held{exists: true, deleted: d.DeletedDate != nil, arn: aws.ToString(d.ARN),
		labels: d.VersionIdsToStages}
	for _, t := range d.Tags {
		switch aws.ToString(t.Key) {
		case parameterTag:
			h.tag = aws.ToString(t.Value)
		case renamedTag:
			h.renamedFrom = aws.ToString(t.Value)
		}
	}
	return h, nil
}

// renamedTag is on the secrets of a connection whose renaming is not finished: the
// parameter and version in which the old declaration stands.
const renamedTag = "evertoken:renamed-from"
